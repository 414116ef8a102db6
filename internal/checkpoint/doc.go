// Package checkpoint is the stream's offset log and commit log in the layout of Spark Structured Streaming, byte for byte: Spark
// continues silt's checkpoint and silt continues Spark's.
//
//	metadata      {"id":"<query id>"}                          written once
//	sources/0/0   0x00 "v1\n" {"topic":{"0":0}}                where batch 0 begins, written once
//	offsets/N     "v1\n" {"batchWatermarkMs":...} "\n" {...}   what batch N reads up to, written before it runs
//	commits/N     "v1\n" {"nextBatchWatermarkMs":0}            batch N is in the table
//
// Every file is created whole by put-if-absent and never changes, with one exception that a torn write makes necessary: a newest offsets/N
// or commits/N that cannot be read is written anew, or, if batch N is not in the table, removed. On local disk Hadoop keeps a hidden
// .NAME.crc beside every file and refuses a file that does not match it; silt writes and heeds them there (crc.go).
//
// The facts are those of Spark's OffsetSeqLog, CommitLog, StreamMetadata, KafkaSourceInitialOffsetWriter and CheckpointFileManager.
package checkpoint
