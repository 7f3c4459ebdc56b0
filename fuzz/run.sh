#!/usr/bin/env bash
# Runs every fuzz target, or those named, for so many seconds each: `fuzz/run.sh SECONDS [TARGET...]`; 0 only builds.
#
# FOREBAY_FUZZ_SEED=n makes a run choose as another run with that seed did, as far as both get.
#
# Builds with an installed nightly toolchain; without one it says so and ends well, for nothing else here needs it.
# The kept corpus is only read. What is found goes to $FOREBAY_CACHE/fuzz: new inputs to TARGET/corpus, where the next
# run goes on from them; inputs that break something, and the log, beside it. Everything is built outside the checkout.
#
# The kept corpus is what of all inputs still adds something: `BINARY -merge=1 fuzz/corpus/TARGET DIR...` on an empty
# fuzz/corpus/TARGET, where DIR is what was found, or what `cargo run --features seeds --bin seeds DIR` wrote.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(request batch recovery)

# Longest input, in bytes. Longer ones are slower and find no more.
declare -A input_bytes=([request]=16384 [batch]=4096 [recovery]=512)
# Largest single allocation, in MiB, those of C libraries included: a zstd frame may ask for a window of 128 MiB, and
# a buffer that has grown to the cap of 128 MiB is doubled once.
declare -A malloc_mib=([request]=3 [batch]=300 [recovery]=16)

cache=${FOREBAY_CACHE:-$HOME/.cache/forebay}
tools=$cache/tools

skip() {
  echo "SKIPPED: fuzz targets ${targets[*]}: $1"
  exit 0
}

# The newest installed nightly that is not older than the language this code is written in.
pick_nightly() {
  local wanted name minor
  wanted=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*"/\1/p' Cargo.toml)
  rustup toolchain list | sed -n 's/^\(nightly[^ ]*\).*/\1/p' | while read -r name; do
    minor=$(rustc "+$name" --version | sed 's/^rustc 1\.\([0-9]*\).*/\1/')
    [ "$minor" -lt "$wanted" ] || echo "$minor $name"
  done | sort -n | tail -n 1 | cut -d ' ' -f 2
}

command -v rustup >/dev/null || skip "they need a nightly toolchain, and there is no rustup to ask for one"
nightly=$(pick_nightly)
[ -n "$nightly" ] || skip "they need a nightly toolchain, and no recent one is installed (rustup toolchain install nightly)"
command -v c++ >/dev/null || skip "libFuzzer is C++, and there is no c++ compiler"

if ! [ -x "$tools/bin/cargo-fuzz" ]; then
  CARGO_TARGET_DIR=$cache/target-tools cargo install --locked --quiet --root "$tools" cargo-fuzz@0.13.2
  rm -rf "$cache/target-tools"
fi

host=$(rustc "+$nightly" -vV | sed -n 's/^host: //p')
target_dir=$cache/target-fuzz-$(rustc "+$nightly" --version | tr -c 'A-Za-z0-9.\n' -)
# cargo-fuzz's own flags replace those of .cargo/config.toml, and the crate of the simulated disk needs this one.
RUSTFLAGS="--cfg tokio_unstable" PATH=$tools/bin:$PATH CARGO_TERM_COLOR=never \
  cargo "+$nightly" fuzz build --fuzz-dir . --target-dir "$target_dir"

# The sanitizer is here for the codecs in C and for its count of allocations: it need not remember who made each.
export ASAN_OPTIONS=malloc_context_size=0:quarantine_size_mb=8

run() {
  local target=$1 found=$cache/fuzz/$1
  mkdir -p "$found/corpus" "$found/artifacts"
  printf 'fuzz %s: %d kept inputs, %d s; log in %s\n' \
    "$target" "$(find "corpus/$target" -type f | wc -l)" "$seconds" "$found/log"
  if ! "$target_dir/$host/release/$target" "$found/corpus" "corpus/$target" \
    ${FOREBAY_FUZZ_SEED:+-seed="$FOREBAY_FUZZ_SEED"} \
    -max_total_time="$seconds" -max_len="${input_bytes[$target]}" -malloc_limit_mb="${malloc_mib[$target]}" \
    -rss_limit_mb=1024 -timeout=60 -print_final_stats=1 -artifact_prefix="$found/artifacts/" >"$found/log" 2>&1; then
    tail -n 60 "$found/log"
    echo "fuzz $target: FAILED; again with: $target_dir/$host/release/$target INPUT (the path is above)"
    return 1
  fi
  sed -n 's/^stat::\(number_of_executed_units\|average_exec_per_sec\|new_units_added\|peak_rss_mb\): */  \1 /p' \
    "$found/log"
}

[ "$seconds" -gt 0 ] || exit 0
for target in "${targets[@]}"; do
  run "$target"
done
