#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target of the module for TIME each, and says at the end which ones ran.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:?usage: fuzz.sh TIME, such as 30s}

ran=() failed=()
while read -r dir; do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | cut -d' ' -f2 | sort -u); do
		echo "== $dir $target"
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir"; then ran+=("$target"); else failed+=("$dir $target"); fi
	done
done < <(git grep -lE '^func Fuzz' -- '*_test.go' | xargs -r -n1 dirname | sort -u | sed 's#^#./#')

printf '%d targets ran for %s each: %s\n' "${#ran[@]}" "$time" "${ran[*]:-none}"
if [ ${#failed[@]} -gt 0 ]; then
	printf 'failed: %s\n' "${failed[@]}"
	exit 1
fi
