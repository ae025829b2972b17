"""What a long run prints at its end."""

import pytest

from tests.support import summary


@pytest.mark.parametrize("columns", [3, 9, 30])
def test_a_table_that_goes_to_a_file_has_a_line_for_each_row(
    columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [[f"{row} in column {column}" for column in range(columns)] for row in ("one", "two")]

    summary.show([f"column {column}" for column in range(columns)], rows, "about it")

    lines = capsys.readouterr().out.splitlines()
    for row in rows:
        assert sum(all(cell in line for cell in row) for line in lines) == 1
    assert lines[-1] == "about it"
