#!/bin/sh
# Starts moto, and s3rver where it is installed, for the target files beside this script, and waits until they answer.
#   start-peers.sh COMMAND...   runs the command, stops the servers and ends as the command did
#   start-peers.sh              leaves them running until it is interrupted
# moto: pip install 'moto[server]==5.2.5'.  s3rver: npm install --prefix bench (bench/package.json pins it; needs node).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
s3rver=$root/bench/node_modules/.bin/s3rver
data=$(mktemp -d)
servers=""
# Not SIGTERM, which a server ignores where whoever started this script does; nothing of theirs is to be kept.
trap 'kill -KILL $servers 2>/dev/null || true; wait $servers 2>/dev/null || true; rm -rf "$data"' EXIT
trap 'exit 130' INT TERM

answers() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)' "$1" 2>/dev/null; }

start() {  # NAME PORT COMMAND...
    name=$1 port=$2
    shift 2
    if answers "$port"; then
        echo "$name: port $port is taken; stop what listens there" >&2
        exit 2
    fi
    "$@" >"$data/$name.log" 2>&1 &
    servers="$servers $!"
    until answers "$port"; do
        if ! kill -0 "$!" 2>/dev/null; then
            cat "$data/$name.log" >&2
            echo "$name: does not start" >&2
            exit 2
        fi
        sleep 0.2
    done
    echo "$name: http://127.0.0.1:$port" >&2
}

if ! command -v moto_server >/dev/null; then
    echo "moto: not installed; pip install 'moto[server]'" >&2
    exit 2
fi
start moto 5601 moto_server -H 127.0.0.1 -p 5601
if [ -x "$s3rver" ]; then
    start s3rver 5602 "$s3rver" -d "$data" -a 127.0.0.1 -p 5602 --no-vhost-buckets
else
    echo "s3rver: not installed, left out; npm install --prefix bench" >&2
fi
if [ $# -eq 0 ]; then
    wait
fi
code=0
"$@" || code=$?
exit $code
