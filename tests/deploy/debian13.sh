#!/bin/sh
# Run tests in a Debian 13 of its own, which has RabbitMQ 4 and Python 3.13, below .run/debian13.
# Needs root and debootstrap. The sources tested are those that are committed.
#
#     sh tests/deploy/debian13.sh [PYTEST-ARGUMENT ...]
set -eu
cd "$(dirname "$0")/../.."
root=.run/debian13

if ! [ -e "$root/complete" ]; then
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase --include=ca-certificates trixie "$root" \
        "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
    # How this machine reaches its package registries, the other one does, too.
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    cp /etc/apt/apt.conf.d/99* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
    cp /etc/pip.conf "$root/etc/" 2>/dev/null || true
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"  # no service is started
    chmod +x "$root/usr/sbin/policy-rc.d"
    chroot "$root" apt-get -qq update
    chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes \
        --no-install-recommends make procps python3-venv rabbitmq-server postgresql git >/dev/null
    touch "$root/complete"
fi

rm -rf "$root/relay"
mkdir "$root/relay"
git archive HEAD | tar --extract --directory "$root/relay"
[ $# -gt 0 ] || set -- tests/broker tests/deploy/test_rabbitmq_definitions.py \
    tests/deploy/test_rabbitmq_cluster.py
exec unshare --mount --pid --fork /bin/sh -euc '
    root=$1
    shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec chroot "$root" /bin/sh -euc "cd /relay
        make setup
        exec .venv/bin/python -m pytest \"\$@\"" sh "$@"
' sh "$root" "$@"
