#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The gateway of a pool with two donors, asked by programs of npm: those that TESTS/package.json names
# are installed into FOLDER (which needs npm and its registry once), and TESTS/*.test.mjs is run with
# AYNI_CLIENTS (FOLDER), AYNI_URL and AYNI_DONORS (their processes). Not a part of `make test`.
# Usage: tests/clients/run.sh PROGRAM TESTS FOLDER     (make test-clients, make test-web)
set -eu
[ $# -eq 3 ] || {
	echo "usage: $0 PROGRAM TESTS FOLDER" >&2
	exit 2
}
program=$1 tests=$2 folder=$3
mkdir -p "$folder"
cmp -s "$tests/package.json" "$folder/package.json" || {
	cp "$tests/package.json" "$folder/package.json"
	npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error || {
		rm -f "$folder/package.json"
		exit 1
	}
}

AYNI_HOME=$(mktemp -d)
export AYNI_HOME
pids=
# shellcheck disable=SC2086 # a list of words
trap 'kill $pids 2>/dev/null; wait; rm -rf "$AYNI_HOME"' EXIT
trap 'exit 130' INT TERM

wait_for() { # a file
	i=0
	while [ ! -s "$1" ]; do
		i=$((i + 1))
		[ $i -lt 300 ] || {
			cat "$AYNI_HOME"/*.log >&2
			exit 1
		}
		sleep 0.1
	done
}

"$program" pool --folder "$AYNI_HOME/pool" --model configs/models/ayni-demo.gguf \
    --listen 127.0.0.1:0 --set http=127.0.0.1:0 --set stages=2 2>"$AYNI_HOME/pool.log" &
pids="$pids $!"
wait_for "$AYNI_HOME/pool/endpoint"
invite=$("$program" invite --folder "$AYNI_HOME/pool" --uses 2)
AYNI_DONORS=
for i in 1 2; do
	"$program" donate --folder "$AYNI_HOME/donor$i" --pool "$invite" --cores 1 \
	    2>"$AYNI_HOME/donor$i.log" &
	pids="$pids $!"
	AYNI_DONORS="$AYNI_DONORS $!"
done
wait_for "$AYNI_HOME/pool/http"
AYNI_CLIENTS=$(cd "$folder" && pwd) AYNI_URL=http://$(cat "$AYNI_HOME/pool/http")
export AYNI_CLIENTS AYNI_DONORS AYNI_URL
node --test "$tests"/*.test.mjs
