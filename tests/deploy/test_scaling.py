"""Receivers share nothing but the broker: one, two and four of them behind HAProxy.

What an event costs then is measured, not tested: see tests/bench/measures/scaling.py.
"""

import contextlib
from pathlib import Path

import pytest

from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers import process_tree
from tests.support.servers.edge_proxies import HAProxy

_ESTABLISHED = "01"
EVENTS = 400


def links_of(pid: int) -> set[tuple[int, int]]:
    """Return the ports, its own and the other's, of all TCP connections of a process."""
    sockets = set(open_files(pid))
    links = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        _, ours, theirs, state, *rest = line.split()
        if state == _ESTABLISHED and f"socket:[{rest[5]}]" in sockets:
            links.add((int(ours.split(":")[1], 16), int(theirs.split(":")[1], 16)))
    return links


def open_files(pid: int) -> list[str]:
    """Return what a process has open: paths, and sockets as `socket:[inode]`."""
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(path.readlink()))
    return found


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_receivers_talk_to_the_proxy_and_the_broker_and_to_nobody_else(
    count: int, tmp_path: Path, broker_url: str, recorder: Recorder
) -> None:
    if reason := HAProxy.lacks():
        pytest.skip(reason)
    broker_port = int(broker_url.rpartition(":")[2].strip("/"))
    async with contextlib.AsyncExitStack() as stack:
        receivers = []
        for number in range(count):
            directory = tmp_path / f"receiver-{number}"
            directory.mkdir()
            relay = RelayProcess(directory, broker_url=broker_url, exchange=recorder.exchange)
            receivers.append(await stack.enter_async_context(relay))
        proxy = await stack.enter_async_context(HAProxy(tmp_path / "haproxy", receivers))

        accepted = await post_all(f"http://127.0.0.1:{proxy.port}", numbered(EVENTS))
        await eventually(lambda: set(accepted) <= set(recorder.ids))
        await eventually(
            lambda: sum(len(receiver.lines("delivery")) for receiver in receivers) >= EVENTS
        )

        links = [links_of(receiver.process.pid) for receiver in receivers]
        files = [open_files(receiver.process.pid) for receiver in receivers]
        answered = [len(receiver.lines("delivery")) for receiver in receivers]
        trees = [list(process_tree.tree(receiver.process.pid)) for receiver in receivers]

    assert len(set(accepted)) == EVENTS
    for receiver, its_links, its_files in zip(receivers, links, files, strict=True):
        assert {
            theirs for ours, theirs in its_links if ours not in {receiver.port, receiver.admin_port}
        } == {broker_port}
        ours = [Path(name) for name in its_files if name.startswith(f"{tmp_path}/")]
        assert {path.relative_to(tmp_path).parts[0] for path in ours} == {receiver.directory.name}
    assert sum(answered) == EVENTS
    assert min(answered) > 0.5 * EVENTS / count
    assert [len(processes) for processes in trees] == [1] * count
