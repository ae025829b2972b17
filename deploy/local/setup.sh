#!/bin/sh
# Create or update .venv, with the exact packages of requirements.lock and this project itself.
# The second run does nothing: a stamp in .venv tells what it was made from.
# Programs in .venv are started as `.venv/bin/python -m ...`: the first line of a console script
# cannot hold a path with a space.
set -eu

say() { echo "$1" >&2; }
fail() {
    say "$1"
    exit 1
}

find_python() {
    for python in python3.11 python3; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return
        fi
    done
    fail "Python 3.11 or newer is needed: run \`sudo apt-get install python3.11 python3.11-venv\`."
}

# Debian splits the module that puts pip into a new environment off into a package of its own.
ensure_venv_module() {
    "$python" -c 'import ensurepip' 2>/dev/null && return
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    advice="The venv module of $python is missing: run \`sudo apt-get install $package\`."
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root="sudo --non-interactive"
    $as_root apt-get --version >/dev/null 2>&1 || fail "$advice"

    say "installing the Debian package $package"
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120"
    { $apt install --yes "$package" || { $apt update && $apt install --yes "$package"; }; } \
        >/dev/null || fail "$advice"
}

cd "$(dirname "$0")/../.."

# The path counts as well: an editable install points to where the repository was.
wanted=$({ pwd && cat requirements.lock pyproject.toml; } | sha256sum)
stamp=.venv/setup-stamp
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    find_python
    ensure_venv_module
    say "creating .venv with $python"
    "$python" -m venv --clear .venv
fi

say "installing requirements.lock into .venv"
pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@" >&2; }
# The lock is complete, so nothing is left to resolve. Without --no-deps, pip before 23.3 (Debian 12
# has 23.0) picks a newer release for a requirement with an extra, and then refuses it unhashed.
pip install --require-hashes --no-deps --requirement requirements.lock
pip install --no-deps --no-build-isolation --editable .
echo "$wanted" >"$stamp"
