# Shared by the scripts here: sourced, not run.

# Debian packages to build the crates that do without DPDK.
PURE_PACKAGES="build-essential protobuf-compiler python3 python3-venv"
# Debian packages to build the project.
BUILD_PACKAGES="$PURE_PACKAGES pkg-config libdpdk-dev libclang-dev clang"
# Debian packages to run dpvsd and the demo.
DEMO_PACKAGES="iproute2 ethtool curl nginx-light iputils-ping procps"
# Debian packages that the tests need beside those.
TEST_PACKAGES="libusrsctp-dev haproxy vsftpd iperf3 tcpdump openssh-server openssh-client jq netcat-openbsd"

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

need_root() {
    [ "$(id -u)" = 0 ] || die "needs root for network namespaces and packages: run it with sudo"
    need_cargo
}

need_cargo() {
    command -v cargo >/dev/null || die "needs Rust: install it from https://rustup.rs, then run this again"
}

# Installs those of the packages that are missing; none of them starts a service.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        die "install these first: ${missing[*]} (they are Debian's names)"
    fi
    say "Installing ${missing[*]}"
    local policy=/usr/sbin/policy-rc.d made_policy=
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && made_policy=1
    fi
    local failed=
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"; } \
        >/tmp/dpvs-rs-apt.log 2>&1 || failed=1
    [ -z "$made_policy" ] || rm -f $policy
    [ -z "$failed" ] || { tail -n 20 /tmp/dpvs-rs-apt.log >&2; die "apt-get failed; the whole log is /tmp/dpvs-rs-apt.log"; }
}

# wait_until SECONDS WHAT COMMAND...: polls until the command succeeds.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || { printf '%s: waited in vain for %s\n' "$(basename "$0")" "$what" >&2; return 1; }
        sleep 0.1 # between two polls, until the deadline
    done
}
