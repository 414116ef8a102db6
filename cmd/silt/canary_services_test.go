package main

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// securedBroker starts a broker that lets one login in, and tells of others what it was sent.
func (c *canary) securedBroker(user, password string) (addr string) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "clicks"), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", user, password), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{c.net.certificate}}))
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(cluster.Close)
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		sent := string(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes)
		cluster.KeepControl()
		if strings.HasSuffix(sent, "\x00"+user+"\x00"+password) {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		message := "no such login: " + sent + " " + strings.ReplaceAll(sent, "\x00", " ") + " " + url.QueryEscape(sent)
		resp.ErrorMessage = &message
		return resp, nil, true
	})
	return cluster.ListenAddrs()[0]
}

// services plants in the options of broker and registry.
func (c *canary) services() {
	broker := c.securedBroker("nobody", c.g.text("nobody's password"))
	secured := func(more map[string]any) map[string]any {
		options := c.kafka(map[string]any{"kafka.bootstrap.servers": broker, "kafka.security.protocol": "SASL_SSL", "kafka.sasl.mechanism": "PLAIN"})
		for k, v := range more {
			options[k] = v
		}
		return map[string]any{"kafka": options}
	}
	run := []string{"run", "--once"}
	jaas := func(where string) string {
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
		return `org.apache.kafka.common.security.plain.PlainLoginModule required username="` + c.g.word(where+", user") + `" password="` +
			quote(c.g.text(where+", password")) + `";`
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256"} {
		c.try(trial{name: mechanism, args: run, want: "E2003", file: pipelineFile{"source": secured(map[string]any{"kafka.sasl.mechanism": mechanism,
			"kafka.sasl.username": c.g.word(mechanism + ", user"), "kafka.sasl.password": c.g.text(mechanism + ", password")})}})
		c.try(trial{name: mechanism + ", doctor", args: []string{"doctor"}, want: "E2003", env: map[string]string{"USER_NAME": c.g.word("doctor's user"),
			"PASSWORD": c.g.text("doctor's password")}, file: pipelineFile{"source": secured(map[string]any{"kafka.sasl.mechanism": mechanism,
			"kafka.sasl.username": "${env:USER_NAME}", "kafka.sasl.password": "${env:PASSWORD}"})}})
	}
	for _, command := range [][]string{run, {"topic", "list"}, {"topic", "peek", "clicks"}, {"topic", "describe", "clicks"}} {
		c.try(trial{name: fmt.Sprint(command, ", jaas"), args: command, want: "E2003", file: pipelineFile{"source": secured(map[string]any{
			"kafka.sasl.jaas.config": jaas(fmt.Sprint(command))})}})
	}
	broken := jaas("a broken jaas")
	c.try(trial{name: "a broken jaas", args: run, want: "E1204", file: pipelineFile{"source": secured(map[string]any{"kafka.sasl.jaas.config": broken[:len(broken)-2]})}})
	for _, key := range []string{"kafka.sasl.password", "kafka.sasl.username", "kafka.sasl.jaas.config", "kafka.ssl.truststore.password", "kafka.ssl.key.password",
		"kafka.ssl.keystore.password", "kafka.ssl.keystore.key", "kafka.sasl.oauthbearer.client.credentials.client.secret", "kafka.sasl.pasword"} {
		c.try(trial{name: key, args: run, want: "E1", file: pipelineFile{"source": map[string]any{"kafka": c.kafka(map[string]any{key: []string{c.g.text(key + ", a list")}})}}})
		c.try(trial{name: key, args: run, want: "E1210", file: pipelineFile{"source": map[string]any{"kafka": c.kafka(map[string]any{
			key: c.g.text(key+", unresolved") + "${file:/absent}"})}}})
		c.try(trial{name: key, args: run, want: "E1", env: map[string]string{"A": c.g.text(key + ", of a variable")}, file: pipelineFile{"source": secured(map[string]any{key: "${env:A}"})}})
		c.try(trial{name: key + " of -s", args: append(run, "-s", "source.kafka."+key+"="+c.g.text(key+" of -s")), want: "E1"})
	}
	for _, key := range []string{"basic.auth.user.info", "bearer.auth.token", "schema.registry.ssl.key.password", "schema.registry.ssl.keystore.password",
		"schema.registry.ssl.truststore.password", "sasl.jaas.config", "basic.auth.userinfo"} {
		registry := func(value any) map[string]any {
			return map[string]any{"schema.registry.url": "https://registry.example", key: value}
		}
		c.try(trial{name: key, args: run, want: "E1", file: pipelineFile{"registry": registry([]string{c.g.text(key + ", a list")})}})
		c.try(trial{name: key, args: run, want: "E1210", file: pipelineFile{"registry": registry(c.g.text(key+", unresolved") + ":${env:ABSENT}")}})
		c.try(trial{name: key, args: run, want: "E1", env: map[string]string{"A": c.g.text(key + ", of a variable")}, file: pipelineFile{"registry": registry("${env:A}")}})
	}
	for _, status := range []int{401, 403, 500} {
		for i, where := range []string{"basic.auth.user.info", "schema.registry.url"} {
			for j, command := range [][]string{run, {"doctor"}, {"registry", "subjects"}} {
				if status == 500 && i+j > 0 { // it is asked again, for seconds
					continue
				}
				registry := map[string]any{"schema.registry.url": "https://registry.example", where: "${env:LOGIN}"}
				password := c.g.text(where)
				login := "canary:" + password // the name alone is no secret: it is a word as any other
				if where == "schema.registry.url" {
					login = "https://canary:" + url.QueryEscape(password) + "@registry.example"
				}
				c.try(trial{name: fmt.Sprintf("%v, %s, status %d", command, where, status), args: command, want: "E3", reaches: "registry.example",
					env: map[string]string{"LOGIN": login}, file: pipelineFile{"registry": registry}, answers: answers{registry: status}, once: status == 500})
			}
		}
	}
}
