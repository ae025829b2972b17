"""What a table in one test says when rows of it fail."""

import pytest

from tests.support.rows import for_each, for_each_row


def test_all_rows_are_checked_and_each_that_failed_is_named() -> None:
    checked = []

    @for_each(number=[1, 2, 3], text=["", "a"])
    def test_of_rows(number: int, text: str) -> None:
        checked.append((number, text))
        assert number != 2
        with pytest.raises(IndexError):
            _ = text[0]

    with pytest.raises(AssertionError) as caught:
        test_of_rows()

    assert checked == [(1, ""), (1, "a"), (2, ""), (2, "a"), (3, ""), (3, "a")]
    counted, *lines = str(caught.value).splitlines()
    named = [line.partition(":")[0] for line in lines if line.startswith("number=")]
    assert counted == "4 of 6 rows failed"
    assert named == [
        *("number=1, text='a'", "number=2, text=''"),
        *("number=2, text='a'", "number=3, text='a'"),
    ]
    assert isinstance(caught.value.__cause__, pytest.fail.Exception)


@pytest.mark.parametrize("name", ["a", "b"])
@for_each(number=range(3))
def test_fixtures_and_parameters_are_passed_on(
    name: str, number: int, request: pytest.FixtureRequest
) -> None:
    assert request.node.name.endswith(f"[{name}]")
    assert number < 3


def test_each_row_of_a_table_meets_each_combination_of_values() -> None:
    checked = []

    @for_each_row(("name", "size"), [("a", 1), ("b", 2)], is_last=[False, True])
    def test_of_rows(name: str, size: int, *, is_last: bool) -> None:
        checked.append((name, size, is_last))

    test_of_rows()

    assert checked == [("a", 1, False), ("a", 1, True), ("b", 2, False), ("b", 2, True)]


@for_each_row(("names", "table"), [("ab", [(1,)]), ("a", [(1, 2)]), ("a", [()]), ("a", [])])
def test_a_row_that_does_not_fit_and_a_table_without_rows_are_refused(
    names: str, table: list[tuple[int, ...]]
) -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument|has no row"):
        for_each_row(names, table)


def test_a_combination_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="has no row"):
        for_each(name=[])
