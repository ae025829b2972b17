"""Stores in real databases, and events to be seen."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg

from consumers.kit import Event
from consumers.kit.seen.store import SeenStore
from consumers.kit.testing import events

Open = Callable[..., Awaitable[SeenStore]]
(EVENT,) = events("pickyassist", "05")


def numbered(count: int) -> list[Event]:
    return [replace(EVENT, id=str(number)) for number in range(count)]


def rows_of(url: str, query: str) -> list[Any]:
    """Ask the database on a connection of the test's own."""
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:"))) as db:
            return db.execute(query).fetchall()
    with psycopg.connect(url) as server:
        return server.execute(query.encode()).fetchall()


def execute(url: str, statement: str) -> None:
    """Change the database on a connection of the test's own."""
    if url.startswith("sqlite:"):
        rows_of(url, statement)
    else:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(statement.encode())


async def check_usable(seen: SeenStore) -> None:
    await seen.mark(["again"])
    assert await seen.are_new(["again"]) == [False]
