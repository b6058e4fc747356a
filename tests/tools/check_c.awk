# SPDX-License-Identifier: Apache-2.0
# The rules of check.sh that read C line by line. Prints "file:line: what, what to do" for each
# violation. Runs in any POSIX awk.
#
#   awk -f check_c.awk files=LIST pass=1 HEADER... pass=2 FILE...
#
# LIST is a file that names every file of the tree; pass 1 learns which members of structs are
# amounts of work, pass 2 checks. A line with a comment "allowed: why" may call what is banned,
# print, or reach into struct flop; nothing else is excused that way.

BEGIN {
	WORD = "[A-Za-z0-9_]"
	BEFORE = "(^|[^A-Za-z0-9_.>])"

	MAX_FUNCTION = 70
	MAX_FILE = 600
	MAX_HEADER = 200
	# Headers that may be longer, each for a reason.
	header_max["protocol/message_types.h"] = 300 # one struct a message: a table, not an interface
	header_max["compute/kernels/avx2_lanes.h"] = 400 # one line an operation, the same as all lanes
	header_max["compute/kernels/avx512_lanes.h"] = 400
	header_max["compute/kernels/neon_lanes.h"] = 400

	# Which folders a folder's files may include, by longest prefix. A trailing slash means all
	# below; "node/*" means the files that stand in node itself. Tests may include everything.
	may["protocol/"] = "protocol/"
	may["compute/"] = "compute/ protocol/base.h"
	may["storage/"] = "storage/ protocol/base.h"
	may["node/"] = "node/* protocol/ compute/ storage/"
	may["node/donor/"] = may["node/"] " node/donor/"
	may["node/pool/"] = may["node/"] " node/pool/"
	may["node/gateway/"] = may["node/"] " node/gateway/"
	may["node/bench/"] = may["node/"] " node/bench/"
	may["node/cli/"] = may["node/"] " node/cli/ node/donor/ node/pool/ node/gateway/ node/bench/"
	may["node/main.c"] = may["node/"] " node/cli/"

	# Headers of libraries that one place hides from all others.
	owner["immintrin.h"] = owner["x86intrin.h"] = owner["arm_neon.h"] = "compute/kernels/"
	owner["cblas.h"] = "compute/kernels/"
	owner["sqlite3.h"] = "storage/"
	owner["zmq.h"] = "protocol/"

	instead["strcpy"] = instead["strcat"] = instead["sprintf"] = instead["vsprintf"] = \
	    "use snprintf and check its result"
	instead["atoi"] = instead["atol"] = instead["atoll"] = instead["atof"] = \
	    "use strtol's family and check its end and errno"
	instead["gets"] = "use getline or fgets"
	instead["system"] = instead["popen"] = "use posix_spawn with an argument list"
	instead["alloca"] = "use a bounded array or malloc"
	instead["strtok"] = "use strtok_r or strcspn"
	instead["rand"] = instead["srand"] = "use the caller's seed or libsodium"
	instead["tmpnam"] = instead["mktemp"] = "use mkstemp or mkdtemp"
	for (name in instead)
		banned = banned (banned == "" ? "" : "|") name
	banned = BEFORE "(" banned ")[ \t]*\\("
	OUTPUT = BEFORE "(printf|vprintf|puts|putchar|perror|exit|_exit|_Exit|quick_exit|abort)[ \t]*\\("
	STREAM = BEFORE "(stdout|stderr)([^A-Za-z0-9_]|$)"
}

FNR == 1 && !tree_read {
	while ((getline name < files) > 0)
		exists[name] = 1
	tree_read = 1
	exists["protocol/ayni.pb-c.h"] = 1 # generated
}

FNR == 1 {
	finish_file()
	file = FILENAME
	file_pass = pass
	sub(/^\.\//, "", file)
	in_comment = in_function = 0
	declared = 1
	n_lines = 0
	for (name in local_flop)
		delete local_flop[name]
	is_test = file ~ /^tests\//
	may_print = is_test || file ~ /^node\/cli\// || file == "node/main.c" || file == "node/report.c"
}

{
	raw = $0
	n_lines = FNR
	directive = raw ~ /^[ \t]*#/ && !in_comment
	code = strip(raw)
}

pass == 1 {
	if (code ~ /[;,][ \t]*$/ && code !~ /[()]/)
		learn_flop(code, member_flop)
	next
}

pass == 2 {
	excused = raw ~ /\/\* allowed: [^ *]/
	if (directive && raw ~ /^[ \t]*#[ \t]*include/)
		check_include()
	if (!excused) {
		check_calls()
		check_flop()
	}
	check_optimize()
	check_function()
}

END {
	finish_file()
}

function report(line, text)
{
	print file ":" line ": " text
}

# The line without comments and with empty strings, so that only code matches.
function strip(line,    out, at, c)
{
	out = ""
	while (line != "") {
		if (in_comment) {
			at = index(line, "*/")
			if (at == 0)
				return out
			line = substr(line, at + 2)
			in_comment = 0
			continue
		}
		if (!match(line, /["']|\/\*|\/\//))
			return out line
		c = substr(line, RSTART, RLENGTH)
		out = out substr(line, 1, RSTART - 1)
		line = substr(line, RSTART + RLENGTH)
		if (c == "//")
			return out
		if (c == "/*") {
			in_comment = 1
			out = out " "
		} else {
			line = after_quote(line, c)
			out = out c c
		}
	}
	return out
}

# What follows the string or character that `quote` opened.
function after_quote(line, quote,    i, c)
{
	for (i = 1; i <= length(line); i++) {
		c = substr(line, i, 1)
		if (c == "\\")
			i++
		else if (c == quote)
			return substr(line, i + 1)
	}
	return ""
}

function finish_file(    limit)
{
	if (file_pass != 2)
		return
	limit = file !~ /\.h$/ ? MAX_FILE : file in header_max ? header_max[file] : MAX_HEADER
	if (n_lines > limit)
		report(limit + 1, "file of " n_lines " lines (at most " limit "), split it by noun")
	if (in_function)
		report(function_start, "function has no closing brace in column 1, run clang-format")
}

# ---- includes

function check_include(    name, angled)
{
	angled = raw ~ /^[ \t]*#[ \t]*include[ \t]*</
	name = raw
	sub(/^[^<"]*[<"]/, "", name)
	sub(/[>"].*$/, "", name)
	if (name in owner && index(file, owner[name]) != 1 && !is_test)
		report(FNR, "<" name "> belongs to " owner[name] ", call that room's functions")
	if (angled && !(name in exists))
		return
	if (!angled && !(name in exists)) {
		report(FNR, "\"" name "\" is no file of the tree, name it from the root (\"room/file.h\")")
		return
	}
	if (name == "protocol/ayni.pb-c.h" && file !~ /^protocol\/(messages[^\/]*|receipt)\.[ch]$/)
		report(FNR, "only protocol/messages* and receipt.c see generated code, " \
		    "use protocol/messages.h")
	if (is_test)
		return
	if (name ~ /_internal\.h$/ && folder(name) != folder(file))
		report(FNR, name " is for " folder(name) " only, use or extend that module's header")
	if (!allowed_include(name))
		report(FNR, "must not include " name ", see the directions in DESIGN: " \
		    rule_for(file) " may include " may[rule_for(file)])
}

function folder(path)
{
	sub(/[^\/]*$/, "", path)
	return path
}

function rule_for(path,    prefix, best)
{
	best = ""
	for (prefix in may)
		if (index(path, prefix) == 1 && length(prefix) > length(best))
			best = prefix
	return best
}

function allowed_include(name,    n, list, i, entry)
{
	n = split(may[rule_for(file)], list, " ")
	for (i = 1; i <= n; i++) {
		entry = list[i]
		if (entry == name || (entry ~ /\/$/ && index(name, entry) == 1))
			return 1
		if (entry ~ /\/\*$/ && folder(name) == substr(entry, 1, length(entry) - 1))
			return 1
	}
	return 0
}

# ---- calls

function check_calls(    name)
{
	if (match(code, banned)) {
		name = called_name()
		report(FNR, name "() is banned, " instead[name])
	}
	if (may_print)
		return
	if (match(code, OUTPUT)) {
		report(FNR, called_name() "() outside node/cli, return an error or use node/report.h")
	} else if (match(code, STREAM))
		report(FNR, "stdout or stderr outside node/cli, return an error or use node/report.h")
}

function called_name(    name)
{
	name = substr(code, RSTART, RLENGTH)
	gsub(/[^A-Za-z0-9_]/, "", name)
	return name
}

function check_optimize()
{
	if (code ~ /__attribute__[ \t]*\(\([^)]*optimize/ || raw ~ /^[ \t]*#[ \t]*pragma[ \t]+(GCC|clang)[ \t]+optimize/)
		report(FNR, "optimisation set in the source, results must not depend on it: remove it")
	if (raw ~ /^[ \t]*#[ \t]*pragma[ \t]+STDC[ \t]+FP_CONTRACT[ \t]+ON/)
		report(FNR, "contraction allowed, say fma where the definition fuses")
}

# ---- amounts of work

# Note the names that a declaration gives to values of type struct flop.
function learn_flop(text, names,    rest, name)
{
	while (match(text, /(^|[^A-Za-z0-9_])struct flop[ \t]+\**[A-Za-z_]/)) {
		rest = substr(text, RSTART + RLENGTH - 1)
		text = rest
		while (match(rest, /^[A-Za-z0-9_]+/)) {
			name = substr(rest, 1, RLENGTH)
			names[name] = 1
			rest = substr(rest, RLENGTH + 1)
			sub(/^(\[[^]]*\])*[ \t]*(=[^,;]*)?/, "", rest)
			if (!sub(/^,[ \t]*\**/, "", rest) || rest ~ /^(const|struct|enum|[a-z0-9_]+[ \t])/)
				break
		}
	}
}

function check_flop(    text, name)
{
	if (is_test || file == "protocol/base.h")
		return
	if (!in_function && code ~ /^[A-Za-z_]/)
		for (name in local_flop)
			delete local_flop[name]
	learn_flop(code, local_flop)
	if (code ~ /struct flop[^;]*=[ \t]*{[ \t]*[^0} \t]/ || code ~ /\(struct flop\)[ \t]*{[ \t]*[^0} \t]/)
		report(FNR, "struct flop made by hand, use flop_from()")
	text = code
	while (match(text, /[A-Za-z0-9_]+(\[[^]]*\]|\([^()]*\))?(\.|->)count([^A-Za-z0-9_]|$)/)) {
		name = substr(text, RSTART, RLENGTH)
		text = substr(text, RSTART + RLENGTH)
		sub(/[^A-Za-z0-9_].*$/, "", name)
		if (name in local_flop || (name in member_flop && !(name in local_other)))
			report(FNR, name ".count reaches into struct flop, use flop_from, flop_add or flop_count")
	}
}

# ---- functions

# By .clang-format a function's braces, and only those, stand alone in column 1.
function check_function(    length_of)
{
	if (!in_function && code ~ /^{[ \t]*$/) {
		in_function = 1
		function_start = declared
	} else if (in_function && code ~ /^}/) {
		in_function = 0
		length_of = FNR - function_start + 1
		if (length_of > MAX_FUNCTION)
			report(function_start, "function of " length_of " lines (at most " MAX_FUNCTION \
			    "), give its steps names of their own")
	}
	if (!in_function && (directive || code ~ /^[ \t]*$/ || code ~ /[;}][ \t]*$/))
		declared = FNR + 1
}
