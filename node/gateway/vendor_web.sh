#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetch what the page has of others from npm, into FOLDER, and compare it with FOLDER/SHA256SUMS.
# For another version: change it here, run, look at what came, and write SHA256SUMS anew.
# Usage: node/gateway/vendor_web.sh FOLDER     (make vendor-web)
set -eu
[ $# -eq 1 ] || {
	echo "usage: $0 FOLDER" >&2
	exit 2
}
version=1.6.32
folder=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
npm pack --silent "uplot@$version" >/dev/null
tar -xzf "uplot-$version.tgz"
cp package/dist/uPlot.iife.min.js package/dist/uPlot.min.css "$folder"
cp package/LICENSE "$folder/uPlot.LICENSE.txt"
cd "$folder"
sha256sum --check SHA256SUMS
