// Package broker is the embedded Kafka broker: franz-go's kfake, which has topics, groups, transactions and a log on disk, behind a front of
// our own, which has what kfake lacks as something to listen with: TLS with certificates of its own making, logins, limits, and cures.
//
// The front is a net.Listener that kfake accepts from. A connection is handed to kfake only once its login is done, and then gives it one
// whole, checked request after another; kfake's answers pass through the connection's Write. Nothing else listens: there is no way around
// the login, and no second hop over the network.
//
// # What the front cures
//
//   - Logins: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 as Apache Kafka answers them (KIP-43, KIP-84, KIP-152), so that librdkafka, Java and
//     JavaScript clients understand: both versions of SaslHandshake, the mechanisms listed in every answer, error 58 with a text for a wrong
//     password, error 33 for a mechanism that there is not (OAUTHBEARER, GSSAPI).
//   - ApiVersions: Produce is advertised from version 0, as Apache Kafka 4 does, because librdkafka compresses only then (KIP-896).
//   - Fetch: kfake leaves the list of aborted transactions out of a partition that the request's MaxBytes cuts, so that readers of committed
//     data would see aborted records. The front divides the limit among the partitions instead, whose own limits kfake cuts correctly.
//   - Limits: the size of a request before its memory is taken, connections, the memory of requests in flight, idle and half-sent requests.
//   - Lists that kfake leaves out and Java's client cannot be without are sent empty.
//   - Names and configurations of topics are checked as Apache Kafka does. message.timestamp.type=LogAppendTime, which kfake would ignore,
//     is refused.
//   - Retention: kfake's own may delete more than it should (it ignores cleanup.policy=compact and goes by single timestamps of producers)
//     and is never run. Broker deletes whole segments by size and by the time of their last append.
//
// # What survives
//
// An acknowledged record is in the operating system's page cache before its answer is sent: it survives the end of the process, kill -9
// included. Without Options.Sync it does not survive a power cut, like Apache Kafka's with its default flush settings. Topics, their
// configurations, ids and the offsets of groups survive too. Recovery after a crash rebuilds what kfake writes only at a clean stop.
//
// # What differs from Apache Kafka
//
// One node, replication factor 1. No ACLs and no quotas: a user may do everything. No share groups, no OAUTHBEARER. A user may log in with
// any mechanism. Topics with cleanup.policy=compact keep every record: they are never compacted, since kfake's compaction is not safe
// against a crash. DeleteRecords leaves the newest record, and records that it deleted in the middle of a segment are back after a crash. A transaction whose end was being
// written when the process died may be committed in some partitions and aborted in others; its producer got no answer.
package broker
