"""What the console shows of an archive that can't be read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.relay_process import NOWHERE
from tests.support.servers.console import SOURCE, served_console


def leave_it_away(path: Path) -> None:
    assert not path.exists()


def write_no_database(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (leave_it_away, "There is no archive at"),
        (write_no_database, "file is not a database"),
        (Path.mkdir, "can&#39;t be read"),
    ],
)
async def test_why_an_event_can_not_be_looked_up_is_said(
    tmp_path: Path, prepare: Callable[[Path], None], reason: str
) -> None:
    archive = tmp_path / "archive.db"
    prepare(archive)
    config = tmp_path / "relay.toml"
    config.write_text(
        f'[broker]\nurls = ["{NOWHERE}"]\n'
        f'[consumers.archive]\ndatabase = "sqlite:{archive}"\n{SOURCE}'
    )

    async with served_console(config) as browser:
        event = await browser.get("/event/01a")
        download = await browser.get("/event/01a/download")
        search = await browser.get("/search?vendor=swiftsell")

    assert [status for status, _ in (event, download, search)] == [200, 503, 200]
    assert all(reason in page for _, page in (event, download, search))
    assert "it is not in the archive" not in event[1]
