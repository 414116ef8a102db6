// Package microbatch drives the stream: it decides what the next batch is, runs it, and remembers that it did. It sees a Source, a
// Decoding, a Sink and a Log, and nothing of Kafka, Avro and Delta.
//
//	Recover    what a start does, given what checkpoint and table say              pure
//	Plan       which offsets the next batch reads, and what counts as data loss    pure
//	Trigger    when the next batch starts
//	Runner     plan -> offsets/N -> fetch and decode on workers -> one commit -> commits/N -> progress
//	           (the next batch is planned in memory, and its workers run, while this one commits: see upcoming)
//
// A batch's offsets are written before it is committed and never change; the table's commit names the batch. So whatever a crash interrupts
// is run again with the same offsets, and the table says whether it is already in.
package microbatch
