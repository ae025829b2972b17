"""The picture in README.md, and the program that makes it, for a moment instead of minutes."""

import struct
from pathlib import Path

import pytest

from deploy.local.chromium import PROGRAM
from deploy.local.node import PrivateBroker
from deploy.local.screenshot import MAX_BYTES, PICTURE, WIDTH, take

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def width_of(picture: Path) -> int:
    """Return the width in the header of a PNG (https://www.w3.org/TR/png-3/#11IHDR)."""
    head = picture.read_bytes()[:24]
    assert head.startswith(SIGNATURE)
    return int(struct.unpack(">I", head[16:20])[0])


def test_the_readme_shows_a_picture_that_is_small() -> None:
    assert PICTURE.stat().st_size <= MAX_BYTES
    assert width_of(PICTURE) == WIDTH
    assert f"]({PICTURE})" in Path("README.md").read_text()


@pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")
async def test_it_is_made_of_what_really_runs(tmp_path: Path) -> None:
    picture = tmp_path / "console.png"
    with PrivateBroker(tmp_path / "rabbitmq") as broker:
        assert await take(broker.url, tmp_path, picture, seconds=1) == 0

    assert picture.stat().st_size <= MAX_BYTES
    assert width_of(picture) == WIDTH
