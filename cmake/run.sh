#!/usr/bin/env bash
# Installs what is missing, configures, builds, and runs agentcompress with the arguments given.
# usage: run.sh --model FILE.gguf "prompt"      run.sh VERB ...      (see run.sh --help)
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
binary=$top/build/release/runtime/cli/agentcompress
{
  "$top/cmake/install_dependencies.sh" build
  [ -f "$top/build/release/build.ninja" ] || cmake --preset release -S "$top"
  cmake --build "$top/build/release" --target agentcompress
} >&2
exec "$binary" "$@"
