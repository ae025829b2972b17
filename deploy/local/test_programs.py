"""Programs that tests run beside the relay: HAProxy, nginx, PgBouncer, Prometheus.

Standard library only. Tests that need a missing program are skipped, so it is no failure if one
can't be installed.
"""

from __future__ import annotations

import argparse
import shutil
import sys

from deploy.local import package

PACKAGES = ("haproxy", "nginx", "pgbouncer", "prometheus")


def ensure() -> None:
    """Install the Debian packages that are missing, or say what to install."""
    missing = [name for name in PACKAGES if shutil.which(name) is None]
    try:
        for name in missing:
            package.install(name, units=[f"{name}.service"])
    except package.PackageError as error:
        advice = f"Some tests will be skipped: run `sudo apt-get install {' '.join(missing)}`."
        sys.stderr.write(f"{advice} {error}".rstrip() + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.test_programs", description=__doc__
    )
    parser.add_argument(
        "--ensure", action="store_true", required=True, help="install them if they are missing"
    )
    parser.parse_args()
    ensure()
