#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install those packages of a list that are missing. Does nothing, and asks for no rights, if all
# are there. Usage: install-packages.sh LIST
set -eu
command -v dpkg-query >/dev/null || { echo "not Debian: install what $1 lists" >&2; exit 0; }
missing=
for p in $(sed 's/#.*//' "$1"); do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
	[ "$status" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
[ -z "$sudo" ] || command -v sudo >/dev/null || {
	echo "as root, run: apt-get install$missing" >&2
	exit 1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >>"$log" 2>&1; }
# shellcheck disable=SC2086 # a list of words
if ! { apt update && apt install --no-install-recommends $missing; }; then
	tail -n 20 "$log" >&2
	exit 1
fi
