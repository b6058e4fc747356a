# SPDX-License-Identifier: Apache-2.0
# Completion of `ayni` in fish: what its own --help lists. Installed as
# share/fish/vendor_completions.d/ayni.fish.

# The command line's words that are commands, and commands of commands.
function __ayni_command
	set -l words (commandline -opc)
	set -l line $words[1]
	for word in $words[2..]
		$line --help 2>/dev/null </dev/null | string match -q -r -- "^  $word  "
		or break
		set -a line $word
	end
	string join \n -- $line
end

function __ayni_names
	set -l line (__ayni_command)
	$line --help 2>/dev/null </dev/null |
		string replace -r -f -- '^  ([a-z][a-z-]*)  +(.*)' '$1\t$2'
end

function __ayni_options
	set -l line (__ayni_command)
	$line --help 2>/dev/null </dev/null |
		string match -r -a -- '(?<=[ ,])--[a-z][a-z-]*'
end

complete -c ayni -a '(__ayni_names)'
complete -c ayni -n 'string match -q -- "-*" (commandline -ct)' -a '(__ayni_options)'
