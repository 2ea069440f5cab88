#!/usr/bin/env bash
# Installs what the tests of the server's clients and of its page use: OpenAI clients and playwright from npm, and Debian's
# Chromium. Where one of them cannot be had (no node, no network) the tests that need it skip.
# usage: install_clients.sh
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

without() { echo "install_clients.sh: $1; the tests that need it will skip" >&2; }

"$top/cmake/install_dependencies.sh" browser || without "no Chromium"
if ! command -v npm >/dev/null; then
  without "no npm"
  exit 0
fi
for folder in clients page; do
  # What is there and right stays: npm keeps a copy of the lock beside what it has installed.
  [ "$top/tests/$folder/node_modules/.package-lock.json" -nt "$top/tests/$folder/package-lock.json" ] && continue
  (cd "$top/tests/$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) || without "npm ci failed in tests/$folder"
done
