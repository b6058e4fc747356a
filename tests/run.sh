#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run test programs and add up what cmocka says of each. Those of tests/unit and tests/sim, which
# start no network, run as many at a time as there are processors, the others one after the other.
# The last line is "N passed, N failed, N skipped". A program that dies, hangs or runs no test counts
# as one failed test; the output of what fails is shown in full.
# Usage: tests/run.sh PROGRAM...
#   T=pattern         run only the programs whose path contains it (a shell pattern): make test T=gguf
#   RUNNER=command    what runs the programs, with its arguments: an emulator
#   TEST_TIMEOUT_S=N  end a program after N seconds (300)
#   TEST_JOBS=N       programs of tests/unit and tests/sim at a time
set -u
timeout_s=${TEST_TIMEOUT_S:-300}

# One program: a line of it, or all its output; "ok failed skipped" for the sum.
run_one() {
	t=$1 sums=$2 start=$(date +%s)
	out=$(mktemp) || exit 2
	trap 'rm -f "$out"' EXIT
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
	echo "$ok $bad $skip" >>"$sums"
	line=$(printf '%-48s %4d ok %3d failed %3d skipped %4d s' "${t#*/tests/}" "$ok" "$bad" "$skip" \
	    $(($(date +%s) - start)))
	if [ "$bad" -eq 0 ]; then
		echo "$line"
	else
		printf '%s\n%s\nFAILED: %s %s\n' "$line" "$(cat "$out")" "$t" "${why:-see above}"
	fi
}

if [ "${1:-}" = --one ]; then
	run_one "$3" "$2"
	exit 0
fi
sums=$(mktemp) || exit 2
trap 'rm -f "$sums"' EXIT
trap 'exit 130' INT TERM
wanted() {
	for t in "$@"; do
		# shellcheck disable=SC2254 # T is a pattern
		case $t in *${T:-}*) echo "$t" ;; esac
	done
}
together='/tests/\(unit\|sim\)/'
wanted "$@" | grep "$together" | xargs -r -P "${TEST_JOBS:-$(nproc)}" -n 1 sh "$0" --one "$sums"
wanted "$@" | grep -v "$together" | xargs -r -n 1 sh "$0" --one "$sums"
[ -s "$sums" ] || echo "no test program${T:+ matches T=$T}"
awk '{ ok += $1; bad += $2; skip += $3 }
	END { printf "%d passed, %d failed, %d skipped\n", ok, bad, skip; exit !(NR > 0 && bad == 0) }' "$sums"
