"""A RabbitMQ cluster of private nodes, on loopback and in one directory."""

import contextlib
import secrets
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from deploy.local.node import PrivateBroker, speaks_amqp
from deploy.local.private_server import Guard, eventually, free_port

NODES = 3
NAME = "relay-{}@localhost"
# A node that sees less than half of the others stops serving, and goes on once it sees them again.
_SETTINGS = "{cluster_partition_handling, pause_minority}"
_JOIN_LIMIT_S = 90.0


class Cluster:
    """Three nodes. Each can be killed and started alone, and cut off from the others.

    Args:
        directory: for all of them.
        configuration: a rabbitmq.conf, by the number of the node; it has them find each other.
        plugins: that are enabled.
    """

    def __init__(
        self,
        directory: Path,
        configuration: Callable[[int], str] | None = None,
        plugins: Sequence[str] = (),
    ) -> None:
        self._joins_by_itself = bool(configuration)
        self._epmd_port = free_port()
        self.nodes = [
            PrivateBroker(
                directory / f"node-{number}",
                name=NAME.format(number),
                epmd_port=self._epmd_port,
                settings="" if configuration else _SETTINGS,
                configuration=configuration(number) if configuration else "",
                plugins=plugins,
            )
            for number in range(NODES)
        ]

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    @property
    def url(self) -> str:
        """The URL of the first node that serves."""
        return next((node.url for node in self.nodes if speaks_amqp(node.port)), self.nodes[0].url)

    @property
    def pids(self) -> tuple[int, ...]:
        """Those of all nodes; empty if any is down."""
        if not all(node.pids for node in self.nodes):
            return ()
        return tuple(pid for node in self.nodes for pid in node.pids)

    def start(self, nodes: Iterable[PrivateBroker] | None = None) -> None:
        """Start nodes that are down, at the same time: one alone may wait for the others."""
        down = [node for node in nodes or self.nodes if not node.pids]
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(lambda node: node.start(), down))

    def __enter__(self) -> Self:
        cookie = secrets.token_hex(16)
        for node in self.nodes:
            node.directory.mkdir(parents=True)
            (node.directory / ".erlang.cookie").write_text(cookie)
            (node.directory / ".erlang.cookie").chmod(0o400)
        command = ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)]
        self._epmd = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._guard = Guard("kill", "-KILL")
        self._guard.watch(str(self._epmd.pid))
        try:
            self.start()
            for node in () if self._joins_by_itself else self.nodes[1:]:
                node.ctl("stop_app")
                node.ctl("join_cluster", self.nodes[0].name)
                node.ctl("start_app")
            assert eventually(self.is_whole, _JOIN_LIMIT_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()  # nothing in them is needed any more
        self._epmd.kill()
        self._epmd.wait()
        self._guard.disarm()

    def is_whole(self) -> bool:
        """Return whether every node serves."""
        return all(speaks_amqp(node.port) for node in self.nodes)

    def leader_of(self, queue: str) -> PrivateBroker:
        """Return the node that leads a quorum queue."""
        listing = self.nodes[0].ctl("list_queues", "--no-table-headers", "name", "leader")
        leaders = dict(line.split("\t") for line in listing.splitlines() if "\t" in line)
        return next(node for node in self.nodes if node.name == leaders[queue])

    @contextlib.contextmanager
    def cut_off(self, node: PrivateBroker) -> Iterator[None]:
        """Let a node and the others not talk to each other during the block.

        They take each other's cookie for wrong, so that no firewall is needed.
        """
        try:
            self._on_both_sides(node, "erlang:set_cookie({0}, wrong), erlang:disconnect_node({0})")
            yield
        finally:
            admit = "erlang:set_cookie({0}, erlang:get_cookie()), net_adm:ping({0})"
            self._on_both_sides(node, admit)
            assert eventually(self.is_whole, _JOIN_LIMIT_S)

    def _on_both_sides(self, node: PrivateBroker, expression: str) -> None:
        """Evaluate an expression on a node for each of the others, and on these for the node."""
        others = [other for other in self.nodes if other is not node]
        with ThreadPoolExecutor(NODES) as pool:
            done = [pool.submit(_evaluate, other, expression, [node]) for other in others]
            done.append(pool.submit(_evaluate, node, expression, others))
        for evaluation in done:
            evaluation.result()


def _evaluate(node: PrivateBroker, expression: str, others: Iterable[PrivateBroker]) -> None:
    node.evaluate(", ".join([expression.format(f"'{other.name}'") for other in others]))
