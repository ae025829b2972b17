"""What tests run beside the relay: HAProxy, nginx, PgBouncer, Prometheus; and axe-core of npm.

Standard library only. Tests that need one that is missing are skipped, so it is no failure if it
can't be had.
"""

from __future__ import annotations

import argparse
import shutil
import sys

from deploy.local import package
from deploy.local.npm_package import NpmError, NpmFile

PACKAGES = ("haproxy", "nginx", "pgbouncer", "prometheus")
AXE = NpmFile(
    package="axe-core@4.14.1",
    integrity="sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe"
    "37OgudVGtQ==",
    member="axe.min.js",
)
"""Looks for what keeps people from using a page; only the tests of the console load it."""


def ensure() -> None:
    """Get what is missing, or say how to."""
    missing = [name for name in PACKAGES if shutil.which(name) is None]
    try:
        for name in missing:
            package.install(name, units=[f"{name}.service"])
    except package.PackageError as error:
        advice = f"Some tests will be skipped: run `sudo apt-get install {' '.join(missing)}`."
        sys.stderr.write(f"{advice} {error}".rstrip() + "\n")
    try:
        AXE.fetch()
    except NpmError as error:
        sys.stderr.write(f"Some tests will be skipped: {error}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.test_programs", description=__doc__
    )
    parser.add_argument(
        "--ensure", action="store_true", required=True, help="install them if they are missing"
    )
    parser.parse_args()
    ensure()
