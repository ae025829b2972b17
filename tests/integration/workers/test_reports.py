"""A worker's report reaches its supervisor, however much it has to say."""

import asyncio
import sys
from pathlib import Path

import pytest

from relay.errors import SettingsError
from relay.process.command import WRONG_SETTINGS
from relay.workers.worker import Worker
from relay.workers.worker_process import WorkerProcess

REPORTING = """
import sys
from relay.workers.worker import report_problems
report_problems([{problem!r} * {count}, "the last one"])
sys.exit({status})
"""


@pytest.mark.parametrize(
    ("problem", "count"), [("wrong; ", 10), ("wrong; ", 20_000), ("\U0001f600", 70_000)]
)
async def test_a_worker_that_can_not_start_says_why_at_any_length(
    tmp_path: Path, problem: str, count: int
) -> None:
    program = REPORTING.format(problem=problem, count=count, status=WRONG_SETTINGS)
    worker = Worker(number=0, count=1, port=0, admin_socket=tmp_path / "0")
    process = await WorkerProcess.start([sys.executable, "-c", program], worker)

    status = await process.watch(asyncio.Event())
    error = process.error(status)

    assert isinstance(error, SettingsError)
    assert [text[:6] for text in error.problems] == [(problem * count)[:6], "the la"]
