package main

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// panics lets a query panic with secrets in its hands, and fail in all other ways that leaks knows.
func (c *canary) panics() {
	for name := range leaks([]string{""}) {
		env := map[string]string{"A": c.g.text("a secret that leaks by " + name), "B": c.g.key("another that leaks by " + name)}
		values := []string{env["A"], env["B"]}
		want := map[bool]string{true: "", false: "E"}[name == "log" || name == "progress" || name == "trace"]
		c.try(trial{name: name, args: []string{"run", "--once"}, want: want, env: env,
			engine: func([]string) engine { return engine{run: leaks(values)[name]} }, file: pipelineFile{"registry": map[string]any{
				"schema.registry.url": "https://registry.example", "basic.auth.user.info": "${env:A}:${env:B}"}}})
	}
}

// query lets a query succeed whose secrets come from every provider, and meet a bad record; then everything looks at what it wrote.
func (c *canary) query() {
	user, password := c.g.word("the broker's user"), c.g.text("the broker's password")
	info, scoped := c.g.text("the registry's password"), c.g.word("the registry's user")
	token, access := c.g.word("the vault's token"), c.g.word("the key vault's access token")
	dir := filepath.Join(c.dir, "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.Fatal(err)
	}
	writeFile(c.T, filepath.Join(dir, "password"), password)
	broker := c.securedBroker(user, password)
	file := pipelineFile{
		"secrets": map[string]any{"scopes": map[string]any{"vault": map[string]any{"vault": "https://vault.example", "token": "${env:TOKEN}"},
			"azure": map[string]any{"keyvault": "https://canary.vault.azure.net"}, "files": map[string]any{"dir": dir}, "env": map[string]any{"env": "CANARY_"}}},
		"source": map[string]any{"kafka": c.kafka(map[string]any{"kafka.bootstrap.servers": broker, "kafka.security.protocol": "SASL_SSL",
			"kafka.sasl.mechanism": "PLAIN", "kafka.sasl.username": "${env:USER_NAME}", "kafka.sasl.password": "${dir:" + dir + ":password}"})},
		"registry": map[string]any{"schema.registry.url": "https://registry.example", "basic.auth.user.info": "${env:REGISTRY_USER}:{{secrets/vault/registry}}"},
	}
	env := map[string]string{"USER_NAME": user, "TOKEN": token, "REGISTRY_USER": scoped}
	a := answers{secret: info, accessToken: access}
	produce := func(values ...string) {
		client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic("clicks"), kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()),
			kgo.DialTLSConfig(&tls.Config{ServerName: "127.0.0.1"}))
		if err != nil {
			c.Fatal(err)
		}
		defer client.Close()
		for _, v := range values {
			if err := client.ProduceSync(context.Background(), kgo.StringRecord(v)).FirstErr(); err != nil {
				c.Fatal(err)
			}
		}
	}
	good := []string{"\x00\x00\x00\x00\x01\x02", "\x00\x00\x00\x00\x01\x04"}
	produce(good...)
	for _, tt := range []struct{ args, want, shows string }{
		{"run --once", "", "batch 0   2 rows"}, {"table verify", "", "missing 0"}, {"table history", "", "STREAMING UPDATE"}, {"topic peek clicks", "", ""},
		{"topic describe clicks", "", ""}, {"secret check", "", ""}, {"secret list", "", "vault"}, {"doctor", "", ""}, {"registry subjects", "", "clicks-value"},
	} {
		// Nobody echoes here: what these commands show is what they read.
		out := c.try(trial{name: tt.args, args: strings.Fields(tt.args), file: file, env: env, answers: a, want: tt.want})
		if !strings.Contains(out, tt.shows) {
			c.Errorf("%s does not show %q:\n%s", tt.args, tt.shows, out)
		}
	}
	produce("\x00\x00\x00\x00\x09\x02") // of a schema that is not there, of which the registry has much to tell
	c.g.fresh = []string{user, password, info, scoped, token, access}
	c.try(trial{name: "a bad record", args: []string{"run", "--once"}, file: file, env: env, answers: a, want: "E4002"})
	if c.files < 10 {
		c.Errorf("%d files searched: the query wrote none", c.files)
	}
}
