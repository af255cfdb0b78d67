#!/bin/sh
# Starts moto and s3rver for the target files beside this script, until it is interrupted.
# moto: pip install 'moto[server]==5.2.5'.  s3rver: npm install --prefix bench (bench/package.json pins it).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
data=$(mktemp -d)
moto_server -H 127.0.0.1 -p 5601 & moto=$!
"$root/bench/node_modules/.bin/s3rver" -d "$data" -a 127.0.0.1 -p 5602 --no-vhost-buckets & s3rver=$!
trap 'kill "$moto" "$s3rver"; rm -rf "$data"' EXIT INT TERM
wait
