#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run each fuzz program of DIR on a copy of its corpus (tests/fuzz/corpus/NAME/) for SECONDS. New
# inputs that reach new code are left in DIR/corpus/NAME, from where the good ones may be committed;
# what crashes, hangs or leaks is left in DIR/findings. Exits 1 if anything was found.
# Usage: tests/fuzz/run.sh DIR SECONDS [NAME...]
set -u
[ $# -ge 2 ] || {
	echo "usage: $0 DIR SECONDS [NAME...]" >&2
	exit 2
}
dir=$1 seconds=$2
shift 2
case $seconds in
'' | *[!0-9]* | 0)
	echo "fuzz: \"$seconds\" is not a number of seconds" >&2
	exit 2
	;;
esac
corpora=$(cd "$(dirname "$0")" && pwd)/corpus
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

if [ $# -eq 0 ]; then
	for program in "$dir"/fuzz_*; do
		case $program in *.o | *.d) continue ;; esac
		[ -x "$program" ] && set -- "$@" "${program##*/fuzz_}"
	done
fi
[ $# -gt 0 ] || {
	echo "fuzz: no program in $dir, run make fuzz-build" >&2
	exit 2
}

stat() { # a number that libFuzzer prints at the end
	sed -n "s/^stat::$1: *//p" "$log" | tail -n 1
}

found=0
for name in "$@"; do
	findings=$dir/findings/$name work=$dir/corpus/$name
	mkdir -p "$findings" "$work"
	[ ! -d "$corpora/$name" ] || cp -R "$corpora/$name/." "$work/"
	before=$(find "$findings" -type f | wc -l)
	# -timeout: one input that takes so long is a finding; an outer limit in case all hangs
	OPENBLAS_NUM_THREADS=1 ASAN_OPTIONS=allocator_may_return_null=1 \
	    timeout -k 10 $((seconds + 120)) "$dir/fuzz_$name" -max_total_time="$seconds" -timeout=20 \
	    -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$findings/" "$work" >"$log" 2>&1
	rc=$?
	new=$(($(find "$findings" -type f | wc -l) - before))
	printf 'fuzz %-16s %9s runs %7s/s  %4s new inputs  %d findings\n' "$name" \
	    "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" "$(stat new_units_added)" \
	    "$new"
	if [ $rc -ne 0 ] || [ $new -gt 0 ]; then
		found=$((found + 1))
		tail -n 60 "$log"
		echo "fuzz: $name fails (status $rc); again: $dir/fuzz_$name FILE, with FILE from $findings:"
		find "$findings" -type f -newer "$dir/fuzz_$name" | sed 's/^/    /'
	fi
done
[ $found -eq 0 ]
