# SPDX-License-Identifier: Apache-2.0
# Completion of `ayni` in bash: what its own --help lists, so that this is never out of date.
# Installed as share/bash-completion/completions/ayni; or: source ayni.bash

# Names of commands in a --help, with two spaces before and behind.
_ayni_names() {
	"$@" --help 2>/dev/null </dev/null | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'
}

_ayni_options() {
	"$@" --help 2>/dev/null </dev/null | grep -o -E -- '(^|[ ,])--[a-z][a-z-]*=?' | tr -d ' ,'
}

_ayni() {
	local current=${COMP_WORDS[COMP_CWORD]} i
	local command=("${COMP_WORDS[0]}")

	# words before this one that are commands, and commands of commands
	for ((i = 1; i < COMP_CWORD; i++)); do
		_ayni_names "${command[@]}" | grep -q -x -e "${COMP_WORDS[i]}" || break
		command+=("${COMP_WORDS[i]}")
	done
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_ayni_options "${command[@]}")" -- "$current")
		[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
	else
		mapfile -t COMPREPLY < <(compgen -W "$(_ayni_names "${command[@]}")" -- "$current")
	fi
}

complete -o default -F _ayni ayni
