#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make test-adversary: runs these programs one after the other and shows what became of each
# adversary (units until it is caught or out, credit, honest donors punished), without the frame of
# cmocka. Fails if one of them does.
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program in "$@"; do
	"$program" >"$log" 2>&1 || failed=$((failed + 1))
	grep -v '^\[ \|^\[=\|^[0-9]* FAILED' "$log" || true
	grep -e '^\[  FAILED' -e '^\[   LINE' -e '^\[  ERROR' "$log" || true
done
if [ "$failed" -gt 0 ]; then
	echo "test-adversary: $failed programs failed"
	exit 1
fi
