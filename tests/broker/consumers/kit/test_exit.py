"""A service ends when it is told to, whatever its writer does."""

import signal
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.service_process import publish, service


async def test_a_writer_that_blocks_does_not_keep_the_process(
    tmp_path: Path, broker_url: str
) -> None:
    async with service(tmp_path, "blocking.py", broker_url, shutdown_grace_s=0) as (
        program,
        exchange,
    ):
        await publish(exchange, 0, 1)
        await eventually(lambda: program.texts() == [0])

        assert await program.end(signal.SIGTERM) == 1

    assert [program.logged(event) for event in ("stopped", "thread blocked", "exit forced")] == [
        1
    ] * 3
