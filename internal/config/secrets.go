package config

import (
	"regexp"
	"slices"
	"strings"
)

// Whether a value is a secret depends on its option, not on where it came from. An option is
//
//   - plain: silt prints its value wherever that helps, though it came from a reference (an error that names the broker helps, the same
//     error with [REDACTED] does not; and a scrubber that looks for the topic, or for "true", would spoil every output);
//   - sensitive: its value is a secret even if it stands in the file itself;
//   - any other: its value is a secret if it came from a reference.
//
// What is not listed is not plain.

// plainSections have no secrets.
var plainSections = []string{"", "decode", "sink.delta", "trigger", "paths"}

// plainOptions of the sections that hold secrets, in lower case.
var plainOptions = map[string][]string{
	"source.kafka": {"kafka.bootstrap.servers", "kafka.security.protocol", "kafka.sasl.mechanism", "kafka.isolation.level",
		"kafka.ssl.endpoint.identification.algorithm", "kafka.ssl.truststore.location", "kafka.ssl.truststore.type", "kafka.client.id",
		"kafka.group.id", "groupidprefix", "subscribe", "subscribepattern", "assign", "startingoffsets", "startingtimestamp",
		"startingoffsetsbytimestamp", "startingoffsetsbytimestampstrategy", "failondataloss", "maxoffsetspertrigger",
		"minoffsetspertrigger", "maxtriggerdelay", "minpartitions", "includeheaders"},
	"registry": {"schema.registry.url", "basic.auth.credentials.source", "schema.registry.ssl.truststore.location",
		"schema.registry.ssl.truststore.type", "schema.registry.ssl.endpoint.identification.algorithm"},
}

// Of sink.storageOptions Options.Storage says which are plain and which are sensitive; what it does not know is any other.
func (r *resolver) plain(section, key string) bool {
	switch {
	case section == "sink.storageOptions":
		sensitive, known := r.storage(key)
		return known && !sensitive
	case section == secretsSection: // places of secrets, whatever a scope's name is
		return !strings.HasSuffix(strings.ToLower(key), ".token")
	case slices.Contains(plainSections, section):
		return !sensitiveKey.MatchString(key)
	}
	return slices.Contains(plainOptions[section], strings.ToLower(key))
}

var sensitiveKey = regexp.MustCompile(`(?i)password|passphrase|secret|token|jaas|user\.info|credential|keystore\.key|account\.key`)

func (r *resolver) sensitive(section, key string) bool {
	if section == "sink.storageOptions" {
		if sensitive, known := r.storage(key); known {
			return sensitive
		}
	}
	return sensitiveKey.MatchString(key) && !r.plain(section, key)
}

var urlPassword = regexp.MustCompile(`://[^/?#@\s:]*:([^/?#@\s]+)@`)

// userinfo is the password of the first URL in text that has one, or "".
func userinfo(text string) string {
	if m := urlPassword.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

var jaasPassword = regexp.MustCompile(`(?i)password\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s;"']+))`)

// password is the password inside the value of an option that holds more than that, or "".
func password(key, text string) string {
	switch key = strings.ToLower(key); {
	case strings.HasSuffix(key, "user.info"):
		_, p, _ := strings.Cut(text, ":")
		return p
	case strings.HasSuffix(key, "jaas.config"):
		if m := jaasPassword.FindStringSubmatch(text); m != nil {
			return m[1] + m[2] + m[3]
		}
	}
	return ""
}
