#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install those packages of a list that are missing. Does nothing, and asks for no rights and no
# network, if all are there. "package:architecture" is for another processor, whose packages dpkg is
# then told to take. Usage: install-packages.sh LIST
set -eu
if [ $# -ne 1 ] || [ ! -r "$1" ]; then
	echo "usage: $0 LIST" >&2
	exit 2
fi
command -v dpkg-query >/dev/null || {
	echo "not Debian: install what $1 lists" >&2
	exit 0
}
missing=
while read -r package _; do
	case $package in '' | '#'*) continue ;; esac
	# two words stuck together where a package is there for two architectures
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	case $status in installed*) ;; *) missing="$missing $package" ;; esac
done <"$1"
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "packages are missing; as root, run: apt-get install$missing" >&2
		exit 1
	}
	sudo=sudo
fi
echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" \
	    >>"$log" 2>&1
}
for package in $missing; do
	case $package in *:*) $sudo dpkg --add-architecture "${package#*:}" ;; esac
done
# shellcheck disable=SC2086 # a list of words
if ! { apt update && apt install --no-install-recommends -- $missing; }; then
	tail -n 20 "$log" >&2
	echo "not installed; by hand: apt-get install$missing" >&2
	exit 1
fi
