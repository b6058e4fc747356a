#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Structure and style, in seconds: what can be said of the tree without compiling more than its
# headers. Each violation is one line "file:line: what, what to do"; the exit status is 1 if there
# is any. The rules on C itself are in check_c.awk.
#
#   tests/tools/check.sh [ROOT]              check the tree at ROOT (the current folder)
#   tests/tools/check.sh --sum-proto [ROOT]  write protocol/ayni.proto.sum anew
set -u
export LC_ALL=C

TOP_ALLOWED='node protocol compute storage tests configs .ci Makefile README.md LICENSE
.clang-format .clang-tidy .editorconfig .gitattributes .gitignore .mailmap'
PACKAGES='libzmq libsodium sqlite3 libprotobuf-c libpcre2-8 jansson inih openblas libcurl libmicrohttpd libedit libxml-2.0 zlib'
PROTO=protocol/ayni.proto
PROTO_SUM=protocol/ayni.proto.sum
PROTO_VERSION=protocol/frame.h

here=$(cd "$(dirname "$0")" && pwd) || exit 2
sum_proto=false
if [ "${1:-}" = --sum-proto ]; then
	sum_proto=true
	shift
fi
cd "${1:-.}" || exit 2

protocol_version() {
	sed -n 's/.*PROTOCOL_VERSION = \([0-9][0-9]*\).*/\1/p' "$PROTO_VERSION"
}

proto_sum() {
	echo "$(protocol_version) $(sha256sum <"$PROTO" | cut -d ' ' -f 1)"
}

if $sum_proto; then
	proto_sum >"$PROTO_SUM" && cat "$PROTO_SUM"
	exit
fi

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
found=$work/found
: >"$found"

# ---- the tree: what git tracks or would add; outside git, all but build folders
if [ "$(git rev-parse --show-prefix 2>/dev/null)" = '' ] && git rev-parse --git-dir >/dev/null 2>&1; then
	git ls-files --cached --others --exclude-standard | sort -u
else
	find . -name .git -prune -o -name 'build*' -prune -o -name __pycache__ -prune -o -type f -print |
	    sed 's,^\./,,' | sort
fi | while IFS= read -r f; do
	[ -f "$f" ] && printf '%s\n' "$f"
done >"$work/tree"

# A name with blanks, quotes or the like would break every list below, so it ends the check.
if grep -n '[^A-Za-z0-9._/+@-]' "$work/tree" >"$work/odd"; then
	sed 's/^[0-9]*:\(.*\)/\1:1: odd character in a name, use letters, digits and ._+@-/' "$work/odd"
	exit 1
fi

files() { # those of the tree that match a pattern
	grep -E "$1" "$work/tree"
}

# What a check needs but this machine lacks is a note for a person, a failure in CI.
have() {
	command -v "$1" >/dev/null && return 0
	if [ -n "${CI:-}" ]; then
		echo "Makefile:1: $1 is missing, install configs/lint-packages.txt" >>"$found"
	else
		echo "note: $1 is missing, so not checked: $2 (see configs/lint-packages.txt)"
	fi
	return 1
}

check_top() {
	sed 's,/.*,,' "$work/tree" | sort -u | while IFS= read -r top; do
		case " $(echo "$TOP_ALLOWED" | tr '\n' ' ')" in
		*" $top "*) ;;
		*) echo "$top:1: no place for it at the top, put it into its room (README.md lists them)" ;;
		esac
	done
}

# What is of others, unchanged, is in folders of this name, with its sums.
ours() {
	grep -vE '(^|/)vendor/'
}

check_vendor() {
	files '(^|/)vendor/SHA256SUMS$' | while IFS= read -r sums; do
		(cd "${sums%/*}" && sha256sum --quiet --check SHA256SUMS 2>/dev/null) |
			sed "s,^\\([^:]*\\):.*,${sums%/*}/\\1:1: is not what $sums says\\, fetch it anew,"
	done
}

check_spdx() {
	files '(\.(c|h|inc|sh|py|awk|proto|sql|js|mjs|css|html)|(^|/)Makefile|^\.ci/run)$' | ours | while IFS= read -r f; do
		sed 3q "$f" | grep -q 'SPDX-License-Identifier: Apache-2\.0' ||
			echo "$f:1: no licence, begin with \"SPDX-License-Identifier: Apache-2.0\" in a comment"
	done
}

# Long files that are not C; check_c.awk measures the C files.
check_length() {
	files '\.(sh|py|awk|sql|proto|mjs|js|css|html)$' | ours | while IFS= read -r f; do
		n=$(wc -l <"$f")
		[ "$n" -le 600 ] || echo "$f:601: file of $n lines (at most 600), split it by noun"
	done
}

check_flags() {
	# shellcheck disable=SC2046 # names of the tree have no blanks
	grep -nE -- '-f(fast-math|unsafe-math|associative-math|reciprocal-math)|-Ofas[t]|-m(arch|cpu)=nativ[e]' \
	    /dev/null $(files '(^|/)Makefile$|\.(mk|sh|py)$|^\.ci/') | grep -v '# allowed: [^ ]' |
	    sed 's/^\([^:]*:[0-9]*\):.*/\1: flag that changes results between machines, remove it/'
}

check_proto() {
	[ -f "$PROTO" ] || return 0
	v=$(protocol_version)
	[ -n "$v" ] || {
		echo "$PROTO_VERSION:1: no PROTOCOL_VERSION = N, state it"
		return
	}
	[ "$(cat "$PROTO_SUM" 2>/dev/null)" = "$(proto_sum)" ] ||
		echo "$PROTO:1: is not what $PROTO_SUM says of version $v, raise PROTOCOL_VERSION if old" \
		    "peers would misread it, then run tests/tools/check.sh --sum-proto"
}

check_c() {
	# shellcheck disable=SC2046
	awk -f "$here/check_c.awk" "files=$work/tree" pass=1 $(files '\.h$') pass=2 $(files '\.([ch]|inc)$') ||
		echo "tests/tools/check_c.awk:1: awk failed, see above"
}

# Twice in a row: alone it must compile, a second time it must be silent.
check_headers() {
	have "${CC:-cc}" 'that headers compile alone' || return 0
	have protoc-c 'that headers compile alone' || return 0
	mkdir -p "$work/gen/protocol"
	[ ! -f $PROTO ] || protoc-c --proto_path=protocol --c_out="$work/gen/protocol" $PROTO ||
		echo "$PROTO:1: protoc-c refuses it, see above"
	# shellcheck disable=SC2086
	flags=$(pkg-config --cflags $PACKAGES) || {
		echo "Makefile:1: libraries are missing, run make packages"
		return
	}
	files '\.h$' >"$work/headers"
	cat >"$work/compile" <<-'END'
		h=$1
		shift
		case $h in
		compute/kernels/avx512*) case $(uname -m) in x86_64) set -- -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512vnni "$@" ;; *) exit 0 ;; esac ;;
		compute/kernels/avx* | compute/kernels/x86.h | tests/emulated/intrinsics.h) case $(uname -m) in x86_64) set -- -mavx2 -mfma -mf16c "$@" ;; *) exit 0 ;; esac ;;
		compute/kernels/neon*) # with the cross compiler, whose headers are not the packages'
			[ "$(uname -m)" = aarch64 ] || CC=aarch64-linux-gnu-gcc
			command -v "${CC:-cc}" >/dev/null || exit 0
			set -- -march=armv8.2-a+dotprod+i8mm ;;
		esac
		out=$(printf '#include "%s"\n#include "%s"\n' "$h" "$h" |
		    ${CC:-cc} -x c -std=c17 -fsyntax-only -D_GNU_SOURCE -Wall -Wextra -Werror -I. "$@" - 2>&1) ||
			printf '%s:1: does not compile alone (%s), include what it uses\n' "$h" \
			    "$(printf '%s\n' "$out" | grep -m 1 error: | cut -c 1-120)"
	END
	# shellcheck disable=SC2086
	xargs -P 2 -I '{}' sh "$work/compile" '{}' -I"$work/gen" $flags <"$work/headers"
}

check_format() {
	have clang-format 'format' || return 0
	files '\.([ch]|inc)$' | xargs -r clang-format --dry-run -Werror 2>&1 |
	    sed -n 's/^\([^:]*:[0-9]*\):[0-9]*: error: .*/\1/p' | sort -u -t : -k 1,1 |
	    sed 's/$/: not as .clang-format says, run clang-format -i/'
}

check_shell() {
	have shellcheck 'shell scripts' || return 0
	files '(\.sh$|^\.ci/run$)' | xargs -r shellcheck -f gcc |
	    sed 's/^\([^:]*:[0-9]*\):[0-9]*: [a-z]*: \(.*\) \[\(SC[0-9]*\)\]$/\1: \2 \3, mend it or disable it with a reason/'
}

for rule in top vendor spdx length flags proto c headers format shell; do
	"check_$rule" >>"$found"
done
sort -t : -k 1,1 -k 2,2n "$found"
n=$(wc -l <"$found")
echo "check: $(wc -l <"$work/tree") files, $n violations"
[ "$n" -eq 0 ]
