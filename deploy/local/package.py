"""Install a Debian package without starting anything of it. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from deploy.local.private_server import output_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Debian starts a service as soon as it is installed, unless a policy forbids it. The service is
# disabled as well, or it would start with the machine.
_POLICY = {"/usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n"}
_SCRIPT = """\
set -eu
package=$1 units=$2
shift 2

made=
trap 'rm -f $made' EXIT
trap 'exit 1' HUP INT TERM
while [ $# -gt 0 ]; do
    if [ ! -e "$1" ]; then
        mkdir -p "$(dirname "$1")"
        made="$made $1"
        printf '%s' "$2" >"$1"
        chmod 755 "$1"
    fi
    shift 2
done

export DEBIAN_FRONTEND=noninteractive
install_package() {
    apt-get -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends "$package"
}
install_package || { apt-get update && install_package; }

if [ -d /run/systemd/system ]; then
    for unit in $units; do
        systemctl disable --now "$unit" || true
    done
else
    update-rc.d "$package" disable
fi
"""


class PackageError(Exception):
    """The package can't be installed here; the message is the reason, or empty if unknown."""


def install(package: str, *, units: Sequence[str], files: Mapping[str, str] | None = None) -> None:
    """Install a Debian package without starting its service.

    Args:
        package: Its name, which is also that of its service.
        units: Systemd units to disable once they exist.
        files: Path and content of files that exist during the installation only, unless they
            existed before.

    Raises:
        PackageError: That can't be done here, or failed.
    """
    as_root = () if os.geteuid() == 0 else ("sudo", "--non-interactive")
    if shutil.which("apt-get") is None or output_of(*as_root, "true", timeout_s=10) is None:
        raise PackageError
    sys.stderr.write(f"installing the Debian package {package}\n")
    made = [text for file in (_POLICY | dict(files or {})).items() for text in file]
    result = subprocess.run(  # noqa: S603  a constant script
        [*as_root, "sh", "-c", _SCRIPT, "install", package, " ".join(units), *made],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise PackageError(f"apt-get said:\n{result.stdout[-1000:].strip()}")
