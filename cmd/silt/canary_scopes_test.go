package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// providers plants in what opens scopes, and in what they give.
func (c *canary) providers() {
	check := []string{"secret", "check"}
	uses := func(reference string) pipelineFile {
		return pipelineFile{"registry": map[string]any{"schema.registry.url": "https://registry.example", "basic.auth.user.info": "key:" + reference}}
	}
	scoped := func(scope map[string]any, reference string) pipelineFile {
		f := uses(reference)
		f["secrets"] = map[string]any{"scopes": map[string]any{"s": scope}}
		return f
	}
	vault := func(token string) map[string]any {
		return map[string]any{"vault": "https://vault.example", "token": token}
	}
	keyVault := map[string]any{"keyvault": "https://canary.vault.azure.net"}
	for _, command := range [][]string{check, {"run", "--once"}, {"doctor"}} {
		for _, reference := range []string{"${secret:s/key}", "{{secrets/s/key}}"} {
			for _, status := range []int{403, 404, 400} {
				c.try(trial{name: fmt.Sprint(command, "Vault ", status), args: command, want: "E1210", reaches: "vault.example",
					file: scoped(vault(c.g.word("a token of Vault")), reference), answers: answers{vault: status}})
				c.try(trial{name: fmt.Sprint(command, "Key Vault ", status), args: command, want: "E1210", reaches: "canary.vault.azure.net",
					file: scoped(keyVault, reference), answers: answers{keyVault: status, accessToken: c.g.word("a token of Key Vault")}})
			}
		}
	}
	c.try(trial{name: "Key Vault, no token", args: check, want: "E1210", file: scoped(keyVault, "${secret:s/key}"), answers: answers{token: 401}})
	for _, reference := range []string{"${secret:s/key}", "{{secrets/s/key}}"} {
		c.try(trial{name: "Vault", args: check, reaches: "vault.example", file: scoped(vault("${env:TOKEN}"), reference), env: map[string]string{"TOKEN": c.g.word("a token of a variable")},
			answers: answers{secret: c.g.text("a secret of Vault")}})
		c.try(trial{name: "Key Vault", args: check, reaches: "canary.vault.azure.net", file: scoped(keyVault, reference),
			answers: answers{secret: c.g.text("a secret of Key Vault"), accessToken: c.g.word("a token of Key Vault")}})
		for _, status := range []int{401, 403} {
			value := c.g.text("a secret of Vault") // which the registry is sent, other than what opened the vault
			c.try(trial{name: "Vault's secret is refused", args: []string{"run", "--once"}, want: "E3", file: scoped(vault(c.g.word("a token")), reference),
				answers: answers{secret: value, registry: status}, knows: []string{value}})
			value = c.g.text("a secret of Key Vault")
			c.try(trial{name: "Key Vault's secret is refused", args: []string{"registry", "subjects"}, want: "E3", file: scoped(keyVault, reference),
				answers: answers{secret: value, accessToken: c.g.word("a token of Key Vault"), registry: status}, knows: []string{value}})
		}
	}
	c.try(trial{name: "a token of VAULT_TOKEN", args: check, want: "E1210", env: map[string]string{"VAULT_TOKEN": c.g.word("VAULT_TOKEN")},
		file: scoped(map[string]any{"vault": "https://vault.example"}, "${secret:s/key}"), answers: answers{vault: 403}})
	c.try(trial{name: "a token file", args: check, want: "E1210", file: scoped(map[string]any{"vault": "https://vault.example",
		"tokenFile": writeFile(c.T, filepath.Join(c.dir, "vault-token"), c.g.word("tokenFile"))}, "${secret:s/key}"), answers: answers{vault: 403}})
	for _, scope := range []map[string]any{
		{"vault": "https://user:" + c.g.word("an address of Vault") + "@vault.example"}, {"keyvault": "https://user:" + c.g.word("an address of Key Vault") + "@canary.vault.azure.net"},
		{"vault": "https://vault.example", "token": []string{c.g.word("a list of tokens")}}, {"vault": "https://vault.example", "tokn": c.g.word("a misspelt token")},
		{"vault": "https://vault.example?token=" + c.g.word("a query of Vault")}, {"keyvault": "ftp://user:" + c.g.word("another scheme") + "@host"},
		{"vault": "https://vault.example", "token": c.g.word("an unresolved token") + "${env:ABSENT}"},
	} {
		c.try(trial{name: "a wrong scope", args: check, want: "E1", file: scoped(scope, "${secret:s/key}")})
		c.try(trial{name: "a wrong scope is listed", args: []string{"secret", "list"}, want: "E1", file: scoped(scope, "${secret:s/key}")})
	}
	c.localStore(check, uses)
}

// localStore plants in the local store, in what opens it, and on its way there.
func (c *canary) localStore(check []string, uses func(string) pipelineFile) {
	dir := filepath.Join(c.dir, "user")
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.Fatal(err)
	}
	passphrase := c.g.text("SILT_SECRETS_PASSPHRASE")
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		c.Fatal(err)
	}
	recipient.SetWorkFactor(10) // age's own takes a second
	var file bytes.Buffer
	w, err := age.Encrypt(&file, recipient)
	if err != nil {
		c.Fatal(err)
	}
	text, _ := json.Marshal(map[string]any{"version": 1, "scopes": map[string]any{"local": map[string]string{"key": c.g.text("the local store")}}})
	if _, err := w.Write(text); err != nil || w.Close() != nil {
		c.Fatal(err)
	}
	writeFile(c.T, filepath.Join(dir, "secrets.age"), file.String())
	env := map[string]string{"SILT_USER_CONFIG": filepath.Join(dir, "config.yaml"), "SILT_SECRETS_PASSPHRASE": passphrase}
	c.try(trial{name: "the local store", args: check, env: env, file: uses("${secret:local/key}")})
	c.try(trial{name: "the local store is listed", args: []string{"secret", "list"}, env: env, file: uses("")})
	c.try(trial{name: "no such key", args: check, want: "E1210", env: env, file: uses("${secret:local/absent}")})
	c.try(trial{name: "its secret is refused", args: []string{"run", "--once"}, want: "E3002", env: env, file: uses("${secret:local/key}"), answers: answers{registry: 401}})
	wrong := map[string]string{"SILT_USER_CONFIG": env["SILT_USER_CONFIG"], "SILT_SECRETS_PASSPHRASE": c.g.text("a wrong passphrase")}
	c.try(trial{name: "a wrong passphrase", args: check, want: "E1210", env: wrong, file: uses("${secret:local/key}")})
	c.folder("the local store", dir)

	identity, err := age.GenerateX25519Identity()
	if err != nil {
		c.Fatal(err)
	}
	dir = filepath.Join(c.dir, "key")
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.Fatal(err)
	}
	c.g.add("SILT_SECRETS_KEY_FILE", identity.String())
	env = map[string]string{"SILT_USER_CONFIG": filepath.Join(dir, "config.yaml"), "SILT_DEBUG": "1",
		"SILT_SECRETS_KEY_FILE": writeFile(c.T, filepath.Join(c.dir, "age.key"), identity.String()+"\n")}
	for i, args := range [][]string{{"secret", "set", "local/key"}, {"secret", "set", "local/key", c.g.text("a value on the command line")}, {"secret", "delete", "local/absent"},
		{"secret", "list"}, {"secret", "delete", "local/key", "--yes=local/key"}} {
		f := newFakeProcess(newEngine())
		f.env = env
		f.stdin = strings.NewReader(c.g.text("a value of standard input") + "\n")
		if status := f.main(append(args, "-vv")...); (status == 0) != (i%2 == 0 && i != 2 || i == 3) {
			c.Errorf("%v: status %d\n%s", args[:2], status, f.stderr.String())
		}
		c.runs++
		c.outputs++
		c.search(strings.Join(args[:2], " "), []byte(f.stdout.String()+f.stderr.String()))
		c.folder(args[1], dir)
	}
}
