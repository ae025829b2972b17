"""What a log line shows when something went wrong."""

import subprocess
import sys

import pytest

FAILING = """
import sys, structlog
from relay.observability import logs

def handle(body):
    raise KeyError("kind")

logs.configure(style=sys.argv[1], level="info")
try:
    handle("Bearer " + "a secret".upper())
except KeyError:
    structlog.get_logger().exception("delivery failed")
"""


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_traceback_shows_no_variables(style: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", FAILING, style], stderr=subprocess.PIPE, text=True, check=True
    )

    assert "delivery failed" in process.stderr
    assert "KeyError: 'kind'" in process.stderr
    assert "A SECRET" not in process.stderr
