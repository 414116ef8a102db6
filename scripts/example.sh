#!/usr/bin/env bash
# The example, step by step, with everything real but the registry: an Apache Kafka with SASL_SSL, Confluent's Python client, silt, and
# delta-rs as an independent reader. Each line that begins with "$" can be typed as it is, in this folder.
set -euo pipefail
cd "$(dirname "$0")/.."

export EXAMPLE_DIR=${EXAMPLE_DIR:-example}
records=${EXAMPLE_RECORDS:-100000}

# say prints a headline, in bold on a terminal.
say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
# run prints a command and then runs it in this shell, so that variables stay.
run() {
	printf '$ %s\n' "$*"
	eval "$*"
}

stop_all() {
	status=$?
	say "Stop everything"
	for part in kafka registry; do
		if [ -f "$EXAMPLE_DIR/$part/pid" ]; then run "build/parts $part stop $EXAMPLE_DIR/$part" || status=1; fi
	done
	exit "$status"
}

say "Build silt, and the tool that brings the real parts"
run "go build -o build/silt ./cmd/silt"
run "go build -o build/parts ./test/cmd/parts"

say "Fetch Apache Kafka and the Python packages (once, into \${SILT_CACHE:-your cache directory})"
run "build/parts fetch"

say "Start a broker with SASL_SSL and a Schema Registry, both on loopback"
for part in kafka registry; do
	# what an example that was killed left running
	if [ -f "$EXAMPLE_DIR/$part/pid" ]; then build/parts "$part" stop "$EXAMPLE_DIR/$part" || true; fi
done
run "rm -rf $EXAMPLE_DIR"
trap stop_all EXIT
run "eval \"\$(build/parts kafka start $EXAMPLE_DIR/kafka)\""
run "eval \"\$(build/parts registry start $EXAMPLE_DIR/registry)\""
printf 'broker %s · registry %s\n' "$BOOTSTRAP_SERVERS" "$SCHEMA_REGISTRY_URL"

say "A topic of 6 partitions, filled by Confluent's Python client with two schema ids mixed"
run "build/parts topic $EXAMPLE_DIR/kafka clickstreams --partitions 6"
run "python=\$(build/parts python)"
run "\$python scripts/produce_clickstream.py --topic clickstreams --records $records"

say "The pipeline: examples/clickstream.yaml"
run "build/silt run -c examples/clickstream.yaml"

say "The same again: nothing is new, nothing is doubled"
run "build/silt run -c examples/clickstream.yaml"

say "The proof: offsets in the table's log, in its files and in the topic"
run "build/silt table verify $EXAMPLE_DIR/clicks --scan -c examples/clickstream.yaml"
run "build/silt table history $EXAMPLE_DIR/clicks"

say "The table as delta-rs reads it"
run "\$python scripts/read_table.py $EXAMPLE_DIR/clicks"
