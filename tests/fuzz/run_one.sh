#!/usr/bin/env bash
# Runs one libFuzzer target for some seconds, starting from its seeds; new inputs go to a throw-away folder.
# usage: run_one.sh TARGET SEEDS SECONDS
set -euo pipefail
target=$1 seeds=$2 seconds=$3
[ -d "$seeds" ] || { echo "run_one.sh: no seeds at $seeds" >&2; exit 1; }
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
"$target" -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=5 \
  -artifact_prefix="$corpus/" -print_final_stats=1 -verbosity=0 "$corpus" "$seeds"
