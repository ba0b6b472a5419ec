# Sourced by toolchains/demo and tests/examples/run: start a server on a free port, and stop it by
# its own process id.

server_pid= server_port=

# start_server <output file> <program> <argument>...: returns when the program says "listening on
# 127.0.0.1:<port>".
start_server() {
    local out=$1 i; shift
    : >"$out"   # what an earlier server said must not be taken for this one's
    "$@" >>"$out" 2>&1 &
    server_pid=$!
    for ((i = 0; i < 100; i++)); do
        server_port=$(sed -n 's/.*listening on [0-9.]*:\([0-9]*\).*/\1/p' "$out" | head -n 1)
        [[ -z $server_port ]] || return 0
        kill -0 $server_pid 2>/dev/null || break
        sleep 0.1
    done
    echo "$1 does not listen; it said: $(head -c 500 "$out")" >&2
    stop_server || true
    return 1
}

# Asks it to end. A server that ends by the signal itself is fine; one that must be killed is not.
stop_server() {
    [[ -n $server_pid ]] || return 0
    local pid=$server_pid i status=0
    server_pid=
    kill -TERM $pid 2>/dev/null || true
    for ((i = 0; i < 100; i++)); do
        kill -0 $pid 2>/dev/null || { wait $pid || status=$?; break; }
        sleep 0.1
    done
    if kill -0 $pid 2>/dev/null; then
        kill -KILL $pid
        echo "process $pid did not end within 10 s of SIGTERM" >&2
        return 1
    fi
    ((status == 0 || status == 143)) || { echo "process $pid ended with $status" >&2; return 1; }
}
