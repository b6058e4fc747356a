#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run test programs one after the other and add up what cmocka says of each. The last line is
# "N passed, N failed, N skipped". A program that dies, hangs or runs no test counts as one failed
# test; the output of what fails is shown in full.
# Usage: tests/run.sh PROGRAM...
#   T=pattern         run only the programs whose path contains it (a shell pattern): make test T=gguf
#   RUNNER=command   what runs the programs, with its arguments: an emulator
#   TEST_TIMEOUT_S=N  end a program after N seconds (300)
set -u
timeout_s=${TEST_TIMEOUT_S:-300}
passed=0 failed=0 skipped=0 ran=0
out=$(mktemp) || exit 2
trap 'rm -f "$out"' EXIT
trap 'exit 130' INT TERM
for t in "$@"; do
	# shellcheck disable=SC2254 # T is a pattern
	case $t in *${T:-}*) ;; *) continue ;; esac
	ran=$((ran + 1))
	start=$(date +%s)
	# shellcheck disable=SC2086 # RUNNER is words
	CMOCKA_MESSAGE_OUTPUT=STDOUT timeout -k 10 "$timeout_s" ${RUNNER:-} "$t" >"$out" 2>&1 </dev/null
	rc=$?
	# cmocka lists failed and skipped tests again after "N test(s) run.": count the first time only
	counts=$(LC_ALL=C awk '
		/^\[==========\]/ { summary = / run\.$/ }
		!summary && /^\[       OK \] / { ok++ }
		!summary && /^\[  FAILED  \] / { bad++ }
		!summary && /^\[  SKIPPED \] / { skip++ }
		END { print ok + 0, bad + 0, skip + 0 }' "$out")
	ok=${counts%% *} skip=${counts##* } bad=${counts#* }
	bad=${bad% *} why=
	if [ $rc -eq 124 ] || [ $rc -eq 137 ]; then
		why="was ended after $timeout_s s"
	elif [ $rc -ne 0 ] && [ "$bad" -eq 0 ]; then
		why="ended with status $rc"
	elif [ $((ok + bad + skip)) -eq 0 ]; then
		why='ran no test'
	fi
	[ -z "$why" ] || bad=$((bad + 1))
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	printf '%-48s %4d ok %3d failed %3d skipped %4d s\n' "${t#*/tests/}" "$ok" "$bad" "$skip" \
	    $(($(date +%s) - start))
	if [ "$bad" -ne 0 ]; then
		cat "$out"
		echo "FAILED: $t ${why:-see above}"
	fi
done
[ $ran -gt 0 ] || echo "no test program${T:+ matches T=$T}"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $ran -gt 0 ]
