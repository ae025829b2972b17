"""`relay replay`, started, interrupted and resumed by tests."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_command import RelayCommand, Result

HOUR_S = 3600


class Replay:
    """`relay replay` in a process of its own, with its progress in a file."""

    def __init__(self, relay: RelayCommand, state: Path) -> None:
        self._relay = relay
        self.state = state

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        if "--key" not in arguments:  # the bindings of these services are not known
            arguments = ("--key", "#", *arguments)
        return await self.start_as_given(*arguments)

    async def start_as_given(self, *arguments: str) -> asyncio.subprocess.Process:
        return await self._relay.start("replay", "--state", str(self.state), *arguments)

    async def __call__(self, *arguments: str) -> Result:
        return await self.end(await self.start(*arguments))

    async def interrupt(self, *arguments: str) -> Result:
        """End it by SIGTERM once the broker has confirmed events."""
        process = await self.start(*arguments)
        await eventually(lambda: self.published > 0)
        process.terminate()
        return await self.end(process)

    async def end(self, process: asyncio.subprocess.Process) -> Result:
        out, err = await asyncio.wait_for(process.communicate(), 4 * LIMIT_S)
        return Result(process.returncode or 0, out.decode(), err.decode())

    @property
    def published(self) -> int:
        """How many events are confirmed, as the file says."""
        if not self.state.exists():
            return 0
        count: int = self.progress["published"]
        return count

    def age_by_days(self) -> None:
        """Move the range of the progress three days into the past."""
        document = json.loads(self.state.read_text())
        document["progress"]["since_s"] -= 3 * 24 * HOUR_S
        document["progress"]["until_s"] -= 3 * 24 * HOUR_S
        self.state.write_text(json.dumps(document))

    @property
    def progress(self) -> dict[str, Any]:
        progress: dict[str, Any] = json.loads(self.state.read_text())["progress"]
        return progress
