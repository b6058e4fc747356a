#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What only a tool that understands C finds: clang-tidy (as .clang-tidy says), cppcheck, clang-format,
# each over all C files, on two cores; a few minutes. Exits 1 if anything is found.
# Usage: tests/tools/lint.sh CPPFLAGS [FILE...]     (make lint; CPPFLAGS as the build has them)
set -u
export LC_ALL=C
[ $# -ge 1 ] || {
	echo "usage: $0 CPPFLAGS [FILE...]" >&2
	exit 2
}
flags=$(printf '%s' "$1" | sed 's/-MMD//; s/-MP//')
shift
[ $# -gt 0 ] || {
	# shellcheck disable=SC2046 # names of the tree have no blanks (make check)
	set -- $(find protocol compute storage node tests -name '*.c' | sort)
}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
found=$work/found
: >"$found"

# One process a file, each with a log of its own, so that two never mix their lines.
cat >"$work/tidy" <<'END'
file=$1 log=$2/$(echo "$1" | tr / _).log
shift 2
case $(uname -m):$file in
x86_64:compute/kernels/avxvnni*) set -- "$@" -mavx2 -mfma -mf16c -mavxvnni ;;
x86_64:compute/kernels/avx512*) set -- "$@" -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512vnni ;;
x86_64:compute/kernels/avx*) set -- "$@" -mavx2 -mfma -mf16c ;;
*:compute/kernels/neon*) # empty for another processor, unless its headers are here
	[ ! -d /usr/include/aarch64-linux-gnu ] ||
		set -- -I. -D_GNU_SOURCE --target=aarch64-linux-gnu -march=armv8.2-a+dotprod+i8mm ;;
esac
clang-tidy --quiet "$file" -- -std=c17 -include tests/tools/lint.h "$@" >"$log" 2>"$log.err" ||
	[ -s "$log" ] || cat "$log.err" >"$log"
END
start=$(date +%s)
# shellcheck disable=SC2086 # a list of flags
printf '%s\n' "$@" | xargs -P 2 -I '{}' sh "$work/tidy" '{}' "$work" $flags
cat "$work"/*.log | grep -E '(error|warning):' | sed "s,^$PWD/,,; s/,-warnings-as-errors//" |
    sort -u | awk '
	NR == FNR { if ($0 !~ /^#/) known[$1 " " $2] = 1; next }
	{
		file = $1
		sub(/:.*/, "", file)
		check = $NF
		gsub(/[][]|clang-analyzer-/, "", check)
		if (!((file " " check) in known)) print
	}' tests/tools/lint_known.txt - >>"$found"
echo "lint: clang-tidy over $# files, $(($(date +%s) - start)) s"

# Suppressed: what cppcheck says because it sees no system headers, and known mistakes of 2.10.
#   ctunullpointer          blames dereferences that stand under "if (p != NULL)"
#   memleak, resourceLeak   in tests, where assert() holds what must be evaluated
#   returnDanglingLifetime  takes the result of f(&local) for a pointer to the local
start=$(date +%s)
printf '%s\n' "$@" >"$work/files"
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr -j 2 -I. \
    -D_GNU_SOURCE -D__cppcheck__ --include=tests/tools/lint.h --file-list="$work/files" \
    --suppress=ctunullpointer --suppress='memleak:tests/*' --suppress='resourceLeak:tests/*' \
    --suppress=returnDanglingLifetime:compute/template_builtins.c \
    --template='{file}:{line}: {severity}: {message} [cppcheck {id}]' >"$work/cppcheck" 2>&1
grep -v '^nofile:' "$work/cppcheck" | sort -u >>"$found"
echo "lint: cppcheck, $(($(date +%s) - start)) s"

find protocol compute storage node tests -name '*.[ch]' -exec clang-format --dry-run -Werror {} + 2>&1 |
    grep error: | sort -u -t : -k 1,1 >>"$found"

cat "$found"
echo "lint: $(wc -l <"$found") findings; one file again: make lint FILES=path"
[ ! -s "$found" ]
