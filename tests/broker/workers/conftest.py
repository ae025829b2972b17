"""A relay of several workers, and what a test asks about it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.relay_process import NOWHERE, RelayProcess, numbered, post_all


def workers(tmp_path: Path, count: int, **options: Any) -> RelayProcess:
    ingress = {"workers": count, **options.pop("ingress", {})}
    return RelayProcess(tmp_path, **{"broker_url": NOWHERE, "ingress": ingress, **options})


def serve(relay: RelayProcess, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a relay that is expected to exit by itself."""
    return subprocess.run(
        [sys.executable, "-m", "relay", "serve", "--config", str(relay._config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


def pids(relay: RelayProcess) -> dict[int, int]:
    """The process of each worker, the latest one."""
    return {line["worker"]: line["pid"] for line in relay.lines("worker started")}


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def is_ready(relay: RelayProcess) -> bool:
    return (await relay.readiness())[0] == 200


def deliveries(relay: RelayProcess, worker: int) -> int:
    return sum(line["worker"] == worker for line in relay.lines("delivery"))


async def spread(relay: RelayProcess, count: int, start: int = 0) -> list[str]:
    """Deliver over so many connections that every worker gets some of them."""
    return await post_all(relay.url, numbered(count, start), concurrency=32)


def total(metrics: str, name: str) -> float:
    found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, found))
