"""`relay schema`: a type's schema, or the types there are."""

import json
from pathlib import Path

from relay.events import schemas
from relay.events.event import TYPES
from tests.support.relay_command import RelayCommand

run = RelayCommand(Path("none.toml"))


async def test_it_prints_the_schema_of_a_type() -> None:
    found = await run("schema", "message.created")

    assert (found.code, found.err) == (0, "")
    assert json.loads(found.out) == schemas.schema("message.created")


async def test_without_a_type_it_lists_them_all() -> None:
    found = await run("schema")

    assert [row[0] for row in found.rows] == sorted(TYPES)
    assert json.loads((await run("schema", "--json")).out) == schemas.titles()


async def test_a_type_that_is_none_is_refused() -> None:
    found = await run("schema", "message")

    assert (found.code, found.out) == (2, "")
    assert "'message' is not one of" in found.err
