"""What a start imports: nothing that only other commands or other sources need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = """\
[sources.acme]
vendor = "{vendor}"
secrets = ["s3cret-of-acme"]
{options}
"""
# Serving begins once all of this is imported.
STARTING = """\
import json, sys
from pathlib import Path
from relay import __main__
from relay.cli.commands import serve
serve.load(Path(sys.argv[1]))
from relay import app
print(json.dumps(sorted(sys.modules)))
"""
NOT_NEEDED = (
    *("consumers", "cryptography", "jinja2", "opentelemetry", "psycopg", "pygments", "rich"),
    *("relay.cli.client", "relay.console", "relay.openapi", "relay.workers.supervisor"),
)


def imported(directory: Path, vendor: str, options: str = "") -> set[str]:
    """Return the modules that `relay serve` has imported once it can begin."""
    config = directory / "relay.toml"
    config.write_text(SETTINGS.format(vendor=vendor, options=options))
    command = [sys.executable, "-c", STARTING, str(config)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return {*json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("vendor", "options", "others"),
    [
        ("swiftsell", "", ("acquire", "generic", "intercom")),
        ("zendesk", "", ("generic", "meta", "swiftsell")),
        ("github", "", ("swiftsell", "zendesk")),
        ("generic", 'preset = "stripe"', ("line", "zendesk")),
    ],
)
def test_a_start_imports_what_it_serves_and_nothing_else(
    vendor: str, options: str, others: tuple[str, ...], tmp_path: Path
) -> None:
    found = imported(tmp_path, vendor, options)

    code = vendor if f"relay.vendors.{vendor}" in found else "generic"
    assert {f"relay.vendors.{code}", "relay.ingress.http_server", "structlog"} <= found
    assert not found & {*NOT_NEEDED, *(f"relay.vendors.{name}" for name in others)}


def test_the_subprocess_for_large_deliveries_imports_what_processing_takes() -> None:
    code = "import sys; from relay.ingress import processing_program; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)

    found = set(done.stdout.decode().split())
    assert "relay.ingress.processing" in found
    assert not found & {*NOT_NEEDED, "aiohttp", "asyncio", "pydantic", "sqlite3", "structlog"}
