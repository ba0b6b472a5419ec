# Sourced by the scripts here: the real Redis, as a process of our own on a port of our own.

redis_pid= redis_port=

# start_redis <directory> <option>...: returns when it takes connections, or fails if there is no
# Redis. Redis does not take port 0, so a port is guessed, and another one if that is in use.
start_redis() {
    local dir=$1 program i try; shift
    # Debian's redis-tools has the server too, under another name: it is one program for all.
    program=$(command -v redis-server || command -v redis-check-rdb) || return 1
    for ((try = 0; try < 20; try++)); do
        redis_port=$((20000 + RANDOM % 12000))
        : >"$dir/redis.log"
        (exec -a redis-server "$program" --port $redis_port --bind 127.0.0.1 --dir "$dir" \
            --save "" --appendonly no "$@") >"$dir/redis.log" 2>&1 &
        redis_pid=$!
        for ((i = 0; i < 100; i++)); do
            ! grep -q "Ready to accept connections" "$dir/redis.log" || return 0
            kill -0 $redis_pid 2>/dev/null || break
            sleep 0.1
        done
        stop_redis
    done
    cat "$dir/redis.log" >&2
    return 1
}

stop_redis() {
    [[ -n $redis_pid ]] || return 0
    kill -KILL $redis_pid 2>/dev/null || true
    wait $redis_pid 2>/dev/null || true
    redis_pid=
}
