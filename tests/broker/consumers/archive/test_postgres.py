"""The archive in PostgreSQL: many instances, and a server that goes and comes back."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from consumers.archive.postgres import _EVENT_ERRORS, PostgresArchive
from consumers.archive.record import ArchiveError, Query
from consumers.kit import Unavailable
from deploy.local.postgres import PrivatePostgres
from tests.support.archives import archived, event, found, opened_archive
from tests.support.eventually import eventually


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    """Keep everyone from writing, as a migration might."""
    async with await psycopg.AsyncConnection.connect(url) as db:
        await db.execute("LOCK TABLE archive IN ACCESS EXCLUSIVE MODE")
        yield
        await db.rollback()


async def test_several_instances_at_once_make_one_archive(postgres_url: str) -> None:
    archives = [PostgresArchive(postgres_url) for _ in range(8)]

    await asyncio.gather(*[archive.open() for archive in archives])

    assert await archives[0].append([event()]) == 1
    assert found(archives[1]) == archived(event())
    await asyncio.gather(*[archive.close() for archive in archives])


async def test_instances_that_get_the_same_events_in_any_order_keep_each_once(
    postgres_url: str,
) -> None:
    events = [event(f"{n}") for n in range(300)]
    order = random.Random(1)  # noqa: S311  only to be another one each time

    async def append_all(archive: PostgresArchive) -> int:
        mine = order.sample(events, len(events))
        return sum([await archive.append(mine[start : start + 50]) for start in range(0, 300, 50)])

    archives = [PostgresArchive(postgres_url) for _ in range(6)]
    new = await asyncio.gather(*[append_all(each) for each in archives])

    assert sum(new) == 300
    assert sorted(found(archives[0])) == sorted(archived(*events))
    await asyncio.gather(*[each.close() for each in archives])


async def test_a_killed_server_is_unavailable_until_it_is_back(
    own_postgres: PrivatePostgres, postgres_url: str
) -> None:
    async with opened_archive(postgres_url) as archive:
        assert await archive.append([event("before")]) == 1

        own_postgres.kill()
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"^The archive can't be written: .+\.$"):
                await archive.append([event("while it was down")])
        with pytest.raises(ArchiveError, match=r"^The archive can't be read: .+\.$"):
            found(archive)
        own_postgres.start()

        assert await archive.append([event("before"), event("after")]) == 1
        assert found(archive) == archived(event("before"), event("after"))


async def test_a_server_killed_in_the_midst_of_appends_has_every_one_it_answered(
    own_postgres: PrivatePostgres, postgres_url: str
) -> None:
    answered: list[int] = []

    async with opened_archive(postgres_url) as archive:

        async def append_until_killed() -> None:
            for n in itertools.count():
                await archive.append([event(f"{n}-{i}") for i in range(10)])
                answered.append(n)

        appending = asyncio.ensure_future(append_until_killed())
        await eventually(lambda: len(answered) > 5)
        own_postgres.kill()
        with pytest.raises(Unavailable):
            await appending
        own_postgres.start()

        count = len(found(archive))
        assert count in {10 * len(answered), 10 * len(answered) + 10}
        assert await archive.append([event(f"{n}-3") for n in answered]) == 0


async def test_a_server_that_is_down_at_the_start_is_waited_for(
    own_postgres: PrivatePostgres, postgres_url: str
) -> None:
    own_postgres.stop()

    async with opened_archive(postgres_url) as archive:
        with pytest.raises(Unavailable):
            await archive.append([event()])
        own_postgres.start()

        assert await archive.append([event()]) == 1


async def test_a_server_killed_while_it_is_read_is_one_sentence(
    own_postgres: PrivatePostgres, postgres_url: str
) -> None:
    async with opened_archive(postgres_url) as archive:
        await archive.append([event(f"{n}", raw=b'"%s"' % (b"x" * 100_000)) for n in range(200)])
        reader = archive.find(Query(limit=1000))
        next(reader)

        own_postgres.kill()

        with pytest.raises(ArchiveError, match=r"^The archive can't be read: .+\.$"):
            list(reader)


async def test_an_append_that_hangs_can_be_given_up(postgres_url: str) -> None:
    async with opened_archive(postgres_url) as archive:
        async with locked(postgres_url):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await archive.append([event("given up")])

        assert await archive.append([event("next")]) == 1
        assert found(archive) == archived(event("next"))


@pytest.mark.parametrize("limit_s", [0.05, 0.3])
async def test_deleting_old_events_that_hangs_is_given_up(
    postgres_url: str, limit_s: float
) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    async with opened_archive(postgres_url) as archive:
        await archive.append([event("old")])
        async with locked(postgres_url), asyncio.timeout(20):
            hasty = PostgresArchive(postgres_url, delete_limit_s=limit_s)
            with pytest.raises(Unavailable, match=rf"did not delete within {limit_s} s\."):
                await hasty.delete_old(later)

        assert not await archive.delete_old(later)
        assert found(archive) == []


async def test_a_server_that_only_reads_is_waited_for(postgres_url: str) -> None:
    async with opened_archive(postgres_url) as archive:
        name = psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"]
        with psycopg.connect(postgres_url, autocommit=True) as db:
            db.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await archive.close()  # a session keeps the settings it began with

        with pytest.raises(Unavailable, match="read-only transaction"):
            await archive.append([event()])


async def test_an_archive_that_is_replaced_by_a_newer_one_is_waited_for(postgres_url: str) -> None:
    async with opened_archive(postgres_url) as archive:
        with psycopg.connect(postgres_url, autocommit=True) as db:
            db.execute("UPDATE archive_schema SET version = 2")
        await archive.close()

        with pytest.raises(Unavailable, match="has schema version 2"):
            await archive.append([event()])


async def test_a_user_who_may_not_make_tables_is_reported_at_the_start(
    postgres: PrivatePostgres, postgres_url: str
) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS guest")
        db.execute("CREATE ROLE guest LOGIN")

    with pytest.raises(ArchiveError, match="can't be opened: permission denied for schema public"):
        await PostgresArchive(postgres_url.replace("postgres@", "guest@")).open()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://[::1",
        "postgresql:///db?no_such_thing=s3cret",
        "postgresql://a:s3c%ret@h/db",
        "postgresql://a:b@s3cret@h/db",
    ],
)
def test_what_is_no_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^it is no PostgreSQL URL; percent-encode ") as caught:
        PostgresArchive(url)

    assert caught.value.__cause__ is caught.value.__context__ is None


def test_only_errors_of_data_are_put_down_to_an_event() -> None:
    """All there are, by the class that the first two digits of their code name."""
    kinds = set(psycopg.errors._sqlcodes.values())

    blamed = {str(kind.sqlstate)[:2] for kind in kinds if issubclass(kind, _EVENT_ERRORS)}

    assert blamed == {"22", "23", "54"}  # data, constraints, sizes
