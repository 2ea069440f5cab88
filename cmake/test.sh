#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test: the release build, then the parsers under
# libFuzzer with ASan and UBSan (30 seconds each; AC_FUZZ_SECONDS to change).
# usage: test.sh
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
"$top/cmake/install_dependencies.sh" build test
"$top/cmake/install_clients.sh"
cmake --preset release
cmake --build --preset release
ctest --preset release
cmake --preset fuzz -DAC_FUZZ_SECONDS="${AC_FUZZ_SECONDS:-30}"
cmake --build --preset fuzz --target fuzz_targets
ctest --preset fuzz -R '^fuzz_'
