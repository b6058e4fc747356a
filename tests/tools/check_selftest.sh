#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proof that each rule of check.sh can fail: makes a small right tree, where nothing may be found,
# then plants violations, each of which must be found at its file and line, and nothing besides.
set -u
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd) || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/tree" && cd "$work/tree" || exit 2
mkdir -p protocol compute/kernels storage node/cli node/donor node/pool node/gateway/web/vendor tests/unit .ci
cp "$here/../../.clang-format" . || exit 2

H='/* SPDX-License-Identifier: Apache-2.0 */'
H_SHELL='# SPDX-License-Identifier: Apache-2.0'
failures=0
fail() {
	echo "check_selftest: $*"
	failures=$((failures + 1))
}

# put FILE LINE...: write a file below its licence line, so that the first LINE is line 2, or 3 in a
# shell script
put() {
	file=$1
	shift
	case $file in
	*.[ch]) first=$H ;;
	*.sh | .ci/*) first=$(printf '#!/bin/sh\n%s' "$H_SHELL") ;;
	*) first=$H_SHELL ;;
	esac
	{
		printf '%s\n' "$first"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$file"
}

# expect FILE LINE TEXT: one more line that the check must print
expect() {
	printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>../expected
}

lines() { # N lines of a comment
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) print "/* line */" }'
}

# ---- a right tree
put Makefile 'CFLAGS = -O2'
put protocol/base.h '#ifndef BASE_H' '#define BASE_H' '#include <stdint.h>' '' 'struct flop {' \
    '	uint64_t count;' '};' '' 'static inline uint64_t flop_count(struct flop a)' '{' \
    '	return a.count;' '}' '#endif'
put protocol/frame.h '#ifndef FRAME_H' '#define FRAME_H' 'enum { PROTOCOL_VERSION = 1 };' '#endif'
put protocol/messages.c '#include "protocol/ayni.pb-c.h"'
put compute/model.h '#ifndef MODEL_H' '#define MODEL_H' '#include "protocol/base.h"' '' \
    'struct model {' '	struct flop cost;' '};' '#endif'
put compute/model.c '#include "compute/model.h"' '' '/* atoi(text) is fine in a comment, */' \
    'const char *text = "and strcpy(a, b) in a string";' \
    'int strcpy_like(int count);' 'int n = 0; /* and so is stdout */'
put node/report.c '#include <stdio.h>' '' 'void report(void)' '{' '	(void)fprintf(stderr, "x");' '}'
put node/main.c '#include "protocol/base.h"'
put node/donor/worker.c '#include <unistd.h>' '' 'void leave(void)' '{' \
    '	_exit(0); /* allowed: a child of fork */' '}'
cat >protocol/ayni.proto <<'END'
// SPDX-License-Identifier: Apache-2.0
syntax = "proto3";
message Hello {
  uint32 version = 1;
}
END
echo '/* of others, without our licence line */' >node/gateway/web/vendor/lib.js
(cd node/gateway/web/vendor && sha256sum lib.js >SHA256SUMS)
sh "$here/check.sh" --sum-proto >/dev/null || fail '--sum-proto does not work'
sh "$here/check.sh" >../found || fail "finds something in a right tree: $(cat ../found)"

# ---- and everything that is wrong, once
put stray.txt
expect stray.txt 1 'no place for it at the top'
echo 'int x;' >compute/bare.c
expect compute/bare.c 1 'no licence'
put compute/long.c "$(lines 600)"
expect compute/long.c 601 'file of 601 lines'
put compute/long.h "$(lines 200)"
expect compute/long.h 201 'file of 201 lines'
put tests/long.sh "$(lines 600 | sed 's,.*,# line,')"
expect tests/long.sh 601 'file of 602 lines'
{
	echo '// SPDX-License-Identifier: Apache-2.0'
	lines 600
} >node/gateway/web/long.mjs
expect node/gateway/web/long.mjs 601 'file of 601 lines'
echo changed >node/gateway/web/vendor/lib.js
expect node/gateway/web/vendor/lib.js 1 'is not what'
put compute/function.c '' 'int f(int one_argument_with_a_long_name, int another_argument_with_a_long_name,' \
    '    int last_argument_with_a_long_name)' '{' "$(lines 67 | sed 's/^/	/')" '}' '' \
    'int g(void)' '{' "$(lines 67 | sed 's/^/	/')" '}'
expect compute/function.c 3 'function of 71 lines'
put compute/flags.sh 'echo -ffast-math' 'echo -Ofast' 'echo -march=native' # allowed: planted
for line in 3 4 5; do
	expect compute/flags.sh $line 'flag that changes results'
done
put compute/optimize.c '__attribute__((optimize("O3"))) int f(void);' '#pragma GCC optimize("O3")' \
    '#pragma STDC FP_CONTRACT ON'
expect compute/optimize.c 2 'optimisation set in the source'
expect compute/optimize.c 3 'optimisation set in the source'
expect compute/optimize.c 4 'contraction allowed'

# calls: each banned name, one a line
set -- strcpy strcat sprintf vsprintf atoi atol atoll atof gets system popen alloca strtok rand srand \
    tmpnam mktemp
: >calls
line=4
for name in "$@"; do
	echo "	$name(a);" >>calls
	expect node/cli/calls.c $line "$name() is banned"
	line=$((line + 1))
done
put node/cli/calls.c 'void f(void)' '{' "$(cat calls)" '}'
rm calls
put storage/excuse.c 'void f(void)' '{' '	system("x"); /* allowed: */' '}'
expect storage/excuse.c 4 'system() is banned'
set -- printf vprintf puts putchar perror exit _exit _Exit quick_exit abort
: >calls
line=4
for name in "$@"; do
	echo "	$name(a);" >>calls
	expect node/output.c $line "$name() outside node/cli"
	line=$((line + 1))
done
put node/output.c 'void f(void)' '{' "$(cat calls)" '	fflush(stdout);' '}'
rm calls
expect node/output.c $line 'stdout or stderr'

# includes
put compute/rooms.c '#include "node/loop.h"' '#include "protocol/frame.h"' '#include "storage/db.h"'
put storage/db.h '' 'struct db;'
put node/loop.h '' 'struct loop;'
put node/cli/cli.h '' 'struct cli;'
put node/donor/donor.h '' 'struct donor;'
put node/pool/pool.h '' 'struct pool;'
put node/gateway/http.h '' 'struct http;'
put storage/db_internal.h '' 'struct row;'
for line in 2 3 4; do
	expect compute/rooms.c $line 'must not include'
done
put storage/rooms.c '#include "compute/model.h"'
put protocol/rooms.c '#include "compute/model.h"'
put node/donor/rooms.c '#include "node/pool/pool.h"'
put node/pool/rooms.c '#include "node/donor/donor.h"'
put node/pool/up.c '#include "node/cli/cli.h"'
put node/pool/out.c '#include "node/gateway/http.h"'
put node/config.c '#include "node/donor/donor.h"'
put node/gateway/rooms.c '#include "node/donor/donor.h"'
for file in storage/rooms.c protocol/rooms.c node/donor/rooms.c node/pool/rooms.c node/pool/up.c \
    node/pool/out.c node/config.c node/gateway/rooms.c; do
	expect $file 2 'must not include'
done
put node/missing.c '#include "absent.h"' '#include "protocol/ayni.pb-c.h"' \
    '#include "storage/db_internal.h"' '#include "tests/unit/helper.h"' '' '#include <sqlite3.h>'
put tests/unit/helper.h
expect node/missing.c 2 'is no file of the tree'
expect node/missing.c 3 'see generated code'
expect node/missing.c 4 'is for storage/ only'
expect node/missing.c 5 'must not include'
expect node/missing.c 7 'belongs to storage/'

# amounts of work
put node/work.c '#include "compute/model.h"' '' \
    'int f(const struct model *m, struct flop a, struct flop *out)' '{' '	out->count = a.count;' \
    '	return (int)m->cost.count;' '}' '' 'int g(void)' '{' '	struct flop made = {5};' '' \
    '	return flop_count(made) > 0;' '}'
expect node/work.c 6 'out.count reaches into struct flop'
expect node/work.c 6 'a.count reaches into struct flop'
expect node/work.c 7 'cost.count reaches into struct flop'
expect node/work.c 12 'struct flop made by hand'

# what outside tools find
put compute/alone.h '' 'uint32_t missing_include(void);'
expect compute/alone.h 1 'does not compile alone'
put compute/twice.h '' 'struct twice {' '	int a;' '};'
expect compute/twice.h 1 'does not compile alone'
if command -v clang-format >/dev/null; then
	put compute/format.c 'int   x;'
	expect compute/format.c 2 'not as .clang-format says'
fi
if command -v shellcheck >/dev/null; then
	# shellcheck disable=SC2016 # the dollar is planted
	put tests/quote.sh 'echo $1' && put .ci/run 'echo $1'
	expect tests/quote.sh 3 'SC2086'
	expect .ci/run 3 'SC2086'
fi
echo '// changed' >>protocol/ayni.proto
expect protocol/ayni.proto 1 'raise PROTOCOL_VERSION'

sh "$here/check.sh" >../found && fail 'says a wrong tree is right'
while IFS='	' read -r file line text; do
	if grep -F "$file:$line: " ../found | grep -qF "$text"; then
		awk -v at="$file:$line: " -v text="$text" \
		    'index($0, at) != 1 || index($0, text) == 0 { print }' ../found >../rest
		mv ../rest ../found
	else
		fail "does not find $file:$line: $text"
	fi
done <../expected
sed '/^check: /d; /^note: /d' ../found >../rest
[ ! -s ../rest ] || fail "finds what is right: $(cat ../rest)"

[ $failures -eq 0 ] && echo "check_selftest: each of $(wc -l <../expected) planted violations is found"
