#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run test programs one after the other and add up what cmocka says of each. The last line is
# "N passed, N failed, N skipped". A program that dies counts as one failed test.
# Usage: tests/run.sh PROGRAM...
set -u
passed=0 failed=0 skipped=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for t in "$@"; do
	start=$(date +%s)
	CMOCKA_MESSAGE_OUTPUT=STDOUT "$t" >"$out" 2>&1
	rc=$?
	ok=$(grep -c '^\[       OK \]' "$out")
	bad=$(grep -c '^\[  FAILED  \] [^0-9 ][^ ]*$' "$out")
	skip=$(grep -c '^\[  SKIPPED \] [^0-9 ][^ ]*$' "$out")
	# cmocka lists each failed and skipped test again at the end
	bad=$(( (bad + 1) / 2 )) skip=$(( (skip + 1) / 2 ))
	[ $rc -eq 0 ] || [ $bad -gt 0 ] || bad=1
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	printf '%-48s %4d ok %3d failed %3d skipped %4d s\n' "${t#*/tests/}" "$ok" "$bad" "$skip" \
	    $(($(date +%s) - start))
	[ $bad -eq 0 ] || cat "$out"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
