//go:build e2e

package parts

import (
	"os/exec"
	"strings"
	"testing"
)

func TestClientsOfKafkaRun(t *testing.T) {
	kcat, err := Kcat()
	Need(t, err)
	if out, err := kcat("-V").CombinedOutput(); err != nil || !strings.Contains(string(out), "librdkafka") {
		t.Errorf("kcat: %v\n%s", err, out)
	}
	node, path, err := KafkaJS()
	Need(t, err)
	cmd := exec.Command(node, "-e", "require('kafkajs')")
	cmd.Env = append(cmd.Environ(), "NODE_PATH="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("kafkajs: %v\n%s", err, out)
	}
	node, path, err = RegistryJS()
	Need(t, err)
	cmd = exec.Command(node, "-e", "require('kafkajs'); require('@kafkajs/confluent-schema-registry'); require('@confluentinc/schemaregistry')")
	cmd.Env = append(cmd.Environ(), "NODE_PATH="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("Schema Registry's clients: %v\n%s", err, out)
	}
	classes, err := Tools()
	Need(t, err)
	if out, err := exec.Command("java", "-cp", classes, "org.apache.kafka.tools.TopicCommand", "--version").CombinedOutput(); err != nil {
		t.Errorf("Apache Kafka's tools: %v\n%s", err, out)
	}
}
