#!/usr/bin/env bash
# Real clients against the real binary: each writes with every codec it has, each reads what all of them wrote.
#
# usage: tests/clients/run.sh [CLIENT...]     kcat confluent aiokafka kafkajs java sessions forebay kill9 full; all without
#                                        arguments. sessions is the Java consumer in fetch sessions, full is all
#                                        producers while a volume fills and is freed (needs root for a tmpfs)
#
#   FOREBAY_BIN        the binary to test; built (release) if not given
#   FOREBAY_BOOTSTRAP  HOST:PORT of a broker that runs already, to check the clients themselves; nothing is started
#   FOREBAY_CACHE      where clients are installed (default ~/.cache/forebay); nothing is installed in the checkout
#   FOREBAY_KILL_ROUNDS  rounds of kill9 (default 5)
#   FOREBAY_FULL_SECONDS for how long the volume of full is full (default 20)
#
# What cannot be installed is skipped, and said so; with CI=true that is a failure. Ends with `N passed, N failed, N skipped`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${FOREBAY_CACHE:-$HOME/.cache/forebay}
scratch=$(mktemp -d)
plan=$scratch/plan.json
passed=0 failed=0 skipped=0
server=
mkdir -p "$cache"

finish() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$scratch"
}
trap finish EXIT

say() { printf '%s\n' "$*"; }
skip() { say "skip $1: $2"; skipped=$((skipped + 1)); }
pass() { say "ok   $*"; passed=$((passed + 1)); }
fail() { say "FAIL $*"; failed=$((failed + 1)); }

# Installs Debian packages if a command is missing.
need() {
  local command=$1
  shift
  command -v "$command" >/dev/null && return
  say "installing $*"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } >"$scratch/apt.log" 2>&1 \
    || { tail -3 "$scratch/apt.log"; return 1; }
}

# A folder of the cache that is made once for each content of the given file: `once NAME FILE COMMAND...`
once() {
  local name=$1 key
  key=$(sha256sum "$2" | cut -c1-12)
  dir=$cache/$name-$key
  [ -e "$dir/.done" ] && return
  say "installing $name into $dir"
  rm -rf "$dir" && mkdir -p "$dir"
  "${@:3}" >"$scratch/$name.log" 2>&1 || { tail -5 "$scratch/$name.log"; return 1; }
  touch "$dir/.done"
}

need_python() {
  need python3 python3 python3-venv
  # Debian ships the module that a virtual environment needs apart.
  python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; } >"$scratch/apt.log" 2>&1
}
install_python() { python3 -m venv "$dir" && "$dir/bin/pip" install --quiet -r "$here/requirements.txt"; }
install_node() { cp "$here/kafkajs/package.json" "$dir" && (cd "$dir" && npm install --silent --no-audit --no-fund); }
install_java() {
  cp "$here/java/pom.xml" "$dir" \
    && (cd "$dir" && mvn -B -q dependency:copy-dependencies -DoutputDirectory="$dir/lib")
}

prepare() {
  case $1 in
    kcat) need kcat kcat ;;
    confluent | aiokafka | kill9) need_python && once python "$here/requirements.txt" install_python && python=$dir/bin/python ;;
    kafkajs) need node nodejs npm && need npm npm && once node "$here/kafkajs/package.json" install_node && node_modules=$dir/node_modules ;;
    java | sessions) need mvn maven default-jdk-headless && once java "$here/java/pom.xml" install_java && libraries=$dir/lib ;;
    full) prepare confluent && prepare kafkajs && prepare java ;;
    forebay) [ -n "${binary:-}" ] ;;
    *) return 1 ;;
  esac
}

java_run() { java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libraries/*" "$here/java/$1.java" "${@:2}"; }
java_matrix() { java_run Matrix "$@"; }

# One writer may do so in several ways.
write_with() {
  case $1 in
    kcat) python3 "$here/kcat.py" write "$bootstrap" "$plan" ;;
    confluent | confluent-idempotent) "$python" "$here/confluent.py" write "$bootstrap" "$plan" "$1" ;;
    aiokafka | aiokafka-idempotent) "$python" "$here/aio.py" write "$bootstrap" "$plan" "$1" ;;
    kafkajs) NODE_PATH=$node_modules KAFKAJS_NO_PARTITIONER_WARNING=1 node "$here/kafkajs/write.js" "$bootstrap" "$plan" ;;
    java) java_matrix write "$bootstrap" "$plan" ;;
    forebay) python3 "$here/forebay.py" write "$bootstrap" "$plan" "$binary" ;;
  esac
}

read_with() {
  local out=$2 from=$3
  case $1 in
    kcat) python3 "$here/kcat.py" read "$bootstrap" "$plan" "$out" "$from" ;;
    confluent) "$python" "$here/confluent.py" read "$bootstrap" "$plan" "$out" "$from" ;;
    aiokafka) "$python" "$here/aio.py" read "$bootstrap" "$plan" "$out" "$from" ;;
    java) java_matrix read "$bootstrap" "$plan" "$out" "$from" ;;
    forebay) python3 "$here/forebay.py" read "$bootstrap" "$plan" "$out" "$from" "$binary" ;;
  esac
}

can_mount() { unshare --mount mount -t tmpfs tmpfs "$scratch" 2>/dev/null; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Starts the server on a data directory, with settings of its own as NAME=VALUE: `start_server DIRECTORY [SETTING...]`
start_server() {
  local port
  port=$(free_port) http=$(free_port)
  bootstrap=127.0.0.1:$port
  # Every FOREBAY_... variable is a setting of the server; those of this script are not meant for it.
  env $(compgen -e FOREBAY_ | sed 's/^/-u /') "${@:2}" "$binary" serve --data-dir "$1" --kafka-listen "$bootstrap" --http-listen "127.0.0.1:$http" \
    >"$scratch/server.log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    if python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$http/readyz', timeout=1)" 2>/dev/null; then
      return
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$scratch/server.log"
  say "the server did not become ready"
  return 1
}

stop_server() {
  [ -n "$server" ] || return 0
  kill "$server" && wait "$server" || true
  server=
}

wanted=${*:-kcat confluent aiokafka kafkajs java sessions forebay kill9 full}
binary=${FOREBAY_BIN:-}
if [ -n "${FOREBAY_BOOTSTRAP:-}" ]; then
  bootstrap=$FOREBAY_BOOTSTRAP
elif [ -z "$binary" ]; then
  (cd "$top" && cargo build --locked --release -p forebay)
  binary=${CARGO_TARGET_DIR:-$top/target}/release/forebay
fi

clients=()
for client in $wanted; do
  if [ -z "$binary" ] && [[ $client =~ ^(kill9|full|sessions|forebay)$ ]]; then
    skip "$client" "it needs our own binary, and a broker was given"
  elif [ "$client" = full ] && ! can_mount; then
    skip full "it mounts a tmpfs, which needs root"
  elif prepare "$client" || prepare "$client"; then
    clients+=("$client")
  else
    skip "$client" "it could not be installed"
    [ "${CI:-}" != true ] || fail "$client: it must not be skipped here"
  fi
done

python3 "$here/plan.py" "$plan"
[ -n "${FOREBAY_BOOTSTRAP:-}" ] || start_server "$scratch/data"

writers=()
for client in "${clients[@]}"; do
  case $client in
    kill9 | full | sessions) continue ;;
    confluent | aiokafka) ways=("$client" "$client-idempotent") ;;
    *) ways=("$client") ;;
  esac
  for way in "${ways[@]}"; do
    if write_with "$way"; then
      writers+=("$way")
      pass "$way writes"
    else
      fail "$way writes"
    fi
  done
done

from=$(IFS=,; printf '%s' "${writers[*]}")
for client in "${clients[@]}"; do
  case $client in
    kill9 | full | sessions) continue ;;
    kafkajs) skip "kafkajs reads" "its consumer needs groups, which are not served yet"; continue ;;
  esac
  out=$scratch/read-$client.json
  read_with "$client" "$out" "$from" || fail "$client reads: it ended with an error"
  lines=$(python3 "$here/check.py" "$plan" "$out" "$client" "$from")
  say "$(sed '$d' <<<"$lines")"
  read -r good bad <<<"$(tail -n 1 <<<"$lines")"
  passed=$((passed + good)) failed=$((failed + bad))
done

sessions() {
  if java_run Sessions "$1" "$bootstrap" "127.0.0.1:$http"; then pass "java: $2"; else fail "java: $2"; fi
}

if [[ " ${clients[*]} " == *" sessions "* ]]; then
  stop_server
  start_server "$scratch/sessions"
  sessions many "a consumer of 50 partitions is told what is new in one fetch session"
  stop_server
  start_server "$scratch/one-slot" FOREBAY_MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS=1
  sessions few "two consumers share one slot for fetch sessions"
fi

if [[ " ${clients[*]} " == *" kill9 "* ]]; then
  if "$python" "$here/kill9.py" "$binary" "$scratch/kill9" "${FOREBAY_KILL_ROUNDS:-5}"; then
    pass "confluent-kafka keeps every acknowledged record through kill -9"
  else
    fail "confluent-kafka keeps every acknowledged record through kill -9"
  fi
fi

if [[ " ${clients[*]} " == *" full "* ]]; then
  title="every producer is told of a full volume and goes on when it is freed; what was stored is there once"
  stop_server
  if "$python" "$here/full/run.py" "$binary" "$scratch/full" "${FOREBAY_FULL_SECONDS:-20}" "$python" "$node_modules" "$libraries"; then
    pass "$title"
  else
    fail "$title"
    tail -20 "$scratch/full/server.log"
  fi
fi

[ "$failed" = 0 ] || [ ! -s "$scratch/server.log" ] || tail -20 "$scratch/server.log"
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
