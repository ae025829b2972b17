from pathlib import Path

import pytest

from tests.support.rows import for_each

MAX_LINES = 300
OWN = Path("relay/console")


@pytest.mark.parametrize("path", sorted((OWN / "static").iterdir()), ids=str)
def test_the_style_sheet_and_the_script_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@for_each(path=sorted((OWN / "templates").iterdir()))
def test_a_template_loads_nothing_from_elsewhere_and_trusts_no_value(path: Path) -> None:
    text = path.read_text()

    for forbidden in (
        "http://www",
        "https://",
        "| safe",
        "|safe",
        " style=",
        " onclick=",
        "<style",
    ):
        assert forbidden not in text
