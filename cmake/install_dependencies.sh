#!/usr/bin/env bash
# Installs, on Debian 12, the packages that AgentCompress is built with; does nothing when all are there.
# usage: install_dependencies.sh [build|test|browser|cross]...   (default: build)
set -euo pipefail

build=(cmake g++ glslang-tools ninja-build pkg-config libarchive-dev libboost1.81-dev libcli11-dev libcurl4-openssl-dev libedit-dev
       libfmt-dev libgtest-dev libgmock-dev libinih-dev liblapacke-dev libopenblas-dev libpcre2-dev libspdlog-dev
       libsqlite3-dev libssl-dev libtbb-dev libutf8proc-dev libvulkan-dev libxxhash-dev nlohmann-json3-dev)
# Tests: a Vulkan device in software with its validation layer (mesa), sanitised fuzz targets (clang), the oracle for chat templates (jinja2), what the Python hook plugs into (httpx), the faulty server (openssl, python3).
test=(clang-14 libclang-rt-14-dev mesa-vulkan-drivers vulkan-validationlayers python3 python3-httpx python3-jinja2 openssl binutils)
# The server's page is tested in it.
browser=(chromium)
# The AArch64 preset.
cross=(g++-aarch64-linux-gnu qemu-user googletest)

wanted=()
for group in "${@:-build}"; do
  case "$group" in
    build) wanted+=("${build[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    browser) wanted+=("${browser[@]}") ;;
    cross) wanted+=("${cross[@]}") ;;
    *) echo "install_dependencies.sh: unknown group '$group', expected build, test, browser or cross" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "install_dependencies.sh: this is not Debian; please install the equivalents of: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install_dependencies.sh: run as root once: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing ${#missing[@]} Debian packages: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
