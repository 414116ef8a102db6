package kafka

import (
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// unsupported are the options that users of Spark and of Kafka's clients know and silt does not have, with what to do instead. They are
// errors, never ignored. Every other key is unknown.
var unsupported = []struct {
	instead string
	keys    []string
}{
	// Spark's own (Spark's structured-streaming-kafka-integration guide).
	{"name the topics in subscribe", []string{"subscribePattern", "assign"}},
	{"use startingOffsets: earliest, latest, or offsets as JSON", []string{"startingTimestamp", "startingOffsetsByTimestamp",
		"startingOffsetsByTimestampStrategy"}},
	{"a stream has no end; use trigger: {availableNow: true} to stop at what is there now", []string{"endingOffsets",
		"endingOffsetsByTimestamp", "endingTimestamp"}},
	{"leave it out: a batch begins as soon as there is data; use trigger: {processingTime: 10 seconds} for larger ones",
		[]string{"minOffsetsPerTrigger", "maxTriggerDelay"}},
	{"leave it out: all workers share a partition's data", []string{"minPartitions", "maxRecordsPerPartition"}},
	{"leave it out: headers cannot be selected yet", []string{"includeHeaders"}},
	{"leave it out: silt asks until the broker answers, and backs off by itself", []string{"fetchOffset.numRetries",
		"fetchOffset.retryIntervalMs", "kafkaConsumer.pollTimeoutMs"}},

	// Kafka's.
	{"leave it out: a client certificate is not supported; log in with SASL PLAIN", []string{"kafka.ssl.keystore.type",
		"kafka.ssl.keystore.location", "kafka.ssl.keystore.password", "kafka.ssl.keystore.key", "kafka.ssl.keystore.certificate.chain",
		"kafka.ssl.key.password"}},
	{"leave it out: silt speaks TLS 1.2 and 1.3 with Go's cipher suites", []string{"kafka.ssl.enabled.protocols", "kafka.ssl.protocol",
		"kafka.ssl.provider", "kafka.ssl.cipher.suites", "kafka.ssl.keymanager.algorithm", "kafka.ssl.trustmanager.algorithm",
		"kafka.ssl.secure.random.implementation", "kafka.ssl.engine.factory.class"}},
	{"leave it out: it belongs to a login that is not supported; use kafka.sasl.mechanism: PLAIN", []string{
		"kafka.sasl.kerberos.service.name", "kafka.sasl.client.callback.handler.class", "kafka.sasl.login.callback.handler.class",
		"kafka.sasl.login.class", "kafka.sasl.oauthbearer.token.endpoint.url", "kafka.sasl.oauthbearer.scope.claim.name"}},
	{"leave it out: silt never joins the consumer group, it reads offsets that its checkpoint plans", []string{"kafka.group.instance.id",
		"kafka.group.protocol", "kafka.session.timeout.ms", "kafka.heartbeat.interval.ms", "kafka.max.poll.interval.ms",
		"kafka.partition.assignment.strategy", "kafka.auto.commit.interval.ms", "kafka.allow.auto.create.topics",
		"kafka.exclude.internal.topics"}},
	{"leave it out: silt chooses it", []string{"kafka.max.poll.records", "kafka.fetch.min.bytes", "kafka.fetch.max.wait.ms",
		"kafka.receive.buffer.bytes", "kafka.send.buffer.bytes", "kafka.request.timeout.ms", "kafka.default.api.timeout.ms",
		"kafka.retries", "kafka.retry.backoff.ms", "kafka.retry.backoff.max.ms", "kafka.reconnect.backoff.ms",
		"kafka.reconnect.backoff.max.ms", "kafka.connections.max.idle.ms", "kafka.metadata.max.age.ms", "kafka.client.dns.lookup",
		"kafka.socket.connection.setup.timeout.ms", "kafka.socket.connection.setup.timeout.max.ms", "kafka.enable.metrics.push",
		"kafka.metric.reporters"}},
	{"leave it out: every record batch's checksum is checked", []string{"kafka.check.crcs"}},

	// librdkafka's names of things that Kafka's clients name otherwise.
	{"use kafka.ssl.truststore.type: PEM with kafka.ssl.truststore.location", []string{"kafka.ssl.ca.location"}},
	{"use kafka.ssl.truststore.type: PEM with kafka.ssl.truststore.certificates", []string{"kafka.ssl.ca.pem"}},
	{"leave it out: a client certificate is not supported; log in with SASL PLAIN", []string{"kafka.ssl.certificate.location",
		"kafka.ssl.certificate.pem", "kafka.ssl.key.location", "kafka.ssl.key.pem"}},
	{"leave it out: certificates are always verified", []string{"kafka.enable.ssl.certificate.verification"}},
	{"use kafka.sasl.mechanism", []string{"kafka.sasl.mechanisms"}},
	{"use kafka.bootstrap.servers", []string{"kafka.metadata.broker.list"}},
}

// forbidden are the five options that Spark refuses too: they would break what a query promises.
var forbidden = []struct{ key, why, instead string }{
	{"kafka.auto.offset.reset", "offsets come from the checkpoint",
		"use startingOffsets, and failOnDataLoss for offsets that Kafka no longer has"},
	{"kafka.key.deserializer", "keys are read as bytes", "use decode.key"},
	{"kafka.value.deserializer", "values are read as bytes", "use decode.value"},
	{"kafka.enable.auto.commit", "offsets are kept in the table and the checkpoint", "leave it out"},
	{"kafka.interceptor.classes", "records must reach the table unchanged", "leave it out"},
}

// refuseOthers reports the options that silt knows and does not accept.
func refuseOthers(p *option.Parser) {
	for _, u := range unsupported {
		p.Unsupported(u.instead, u.keys...)
	}
	for _, f := range forbidden {
		if v, ok := p.Value(f.key); ok {
			p.Report(v, problem.Unsupported, "%s cannot be set: %s", v.Key, f.why).Fix("%s", f.instead)
		}
	}
}
