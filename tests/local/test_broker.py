"""The private broker against the real package, and where a broker comes from with fakes on PATH."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.local.broker import (
    URLS_VARIABLE,
    BrokerError,
    PrivateBroker,
    docker_available,
    ensure,
    install,
    installed,
    open_broker,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
REPOSITORY = Path(__file__).parents[2]

needs_package = pytest.mark.skipif(
    not installed() and "CI" not in os.environ, reason="rabbitmq-server is not installed"
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A node in a directory with a space, started by a user with settings of his own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RABBITMQ_NODENAME", "somebody@elsewhere")
        environment.setenv("RABBITMQ_NODE_PORT", "1")
        environment.setenv("ERL_FLAGS", "-no_such_flag")
        with PrivateBroker(tmp_path_factory.mktemp("with a space")) as broker:
            yield broker


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that is all of PATH, on a machine where no broker is given."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv(URLS_VARIABLE, raising=False)
    return directory


@needs_package
def test_a_started_node_answers_amqp(node: PrivateBroker) -> None:
    assert node.url == f"amqp://guest:guest@127.0.0.1:{node.port}/"
    assert handshake(node.port) == b"\x01"


@needs_package
def test_only_loopback_is_listened_on(node: PrivateBroker) -> None:
    addresses = {address for pid in node.pids for address in listening_addresses(pid)}

    assert addresses <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in addresses


@needs_package
def test_no_variable_of_the_user_reaches_the_node(node: PrivateBroker) -> None:
    variables = Path(f"/proc/{node.pids[0]}/environ").read_text()

    assert "somebody@elsewhere" not in variables
    assert "RABBITMQ_NODE_PORT" not in variables
    assert "no_such_flag" not in variables


@needs_package
def test_ctl_speaks_to_this_node(node: PrivateBroker) -> None:
    assert node.ctl("list_vhosts", "name").split() == ["/"]


@needs_package
def test_a_failing_ctl_says_why(node: PrivateBroker) -> None:
    with pytest.raises(BrokerError, match="no_such_command"):
        node.ctl("no_such_command")


@needs_package
@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("node()", "relay@localhost"),
        ('X = 1, {X, [a, "b"], <<"c">>}', '{1,[a,"b"],<<"c">>}'),
        ("rabbit_vhost:list_names()", '[<<"/">>]'),
        ("application:get_env(rabbit, disk_free_limit)", "{ok,1000000}"),
        ("lists:seq(1, 100)", f"[{','.join(map(str, range(1, 101)))}]"),
    ],
)
def test_an_expression_is_evaluated_in_this_node(
    node: PrivateBroker, expression: str, printed: str
) -> None:
    assert node.evaluate(expression) == printed


@needs_package
@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("error = ok", "badmatch"),
        ("no_such:function()", "undef"),
        ("throw(up)", "up"),
        ("exit(now)", "now"),
        ("(", "syntax error"),
        ("io:format(", "syntax error"),
    ],
)
def test_an_expression_that_fails_says_why(
    node: PrivateBroker, expression: str, reason: str
) -> None:
    with pytest.raises(BrokerError, match=reason):
        node.evaluate(expression)


@needs_package
def test_a_directory_in_use_is_refused(node: PrivateBroker) -> None:
    with pytest.raises(BrokerError, match="already runs"):
        PrivateBroker(node.directory).start()


@needs_package
def test_a_taken_port_is_refused(node: PrivateBroker, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="is taken"):
        PrivateBroker(tmp_path, port=node.port).start()


@needs_package
def test_a_paused_node_is_silent_until_resumed(node: PrivateBroker) -> None:
    node.pause()
    try:
        with pytest.raises(TimeoutError):
            handshake(node.port, timeout_s=0.3)
    finally:
        node.resume()

    assert handshake(node.port) == b"\x01"


@needs_package
def test_a_killed_node_comes_back_on_its_port_with_its_data(node: PrivateBroker) -> None:
    port = node.port
    node.ctl("add_vhost", "kept")

    node.kill()
    wait_until(lambda: not processes_in(node.directory))
    node.start()

    assert node.port == port
    assert handshake(port) == b"\x01"
    assert "kept" in node.ctl("list_vhosts", "name").split()
    node.ctl("delete_vhost", "kept")


@needs_package
def test_a_node_that_cannot_start_shows_its_log_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")

    with pytest.raises(BrokerError, match=r"did not start; .*rabbitmq\.log ends with:\n"):
        PrivateBroker(tmp_path).start()

    wait_until(lambda: not processes_in(tmp_path))


@needs_package
def test_a_node_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from deploy.local.broker import PrivateBroker\n"
        "broker = PrivateBroker(Path(sys.argv[1])); broker.start()\n"
        "print('started', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"started\n"
        assert processes_in(tmp_path)

        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: not processes_in(tmp_path))


def test_a_given_url_is_used_as_it_is(fakes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake(fakes, "docker", "exit 0")
    monkeypatch.setenv(URLS_VARIABLE, "amqp://one/,amqp://two/")

    ensure()
    with open_broker(fakes / "unused") as url:
        assert url == "amqp://one/,amqp://two/"

    assert not calls.exists()


def test_a_docker_engine_comes_before_the_package(fakes: Path, tmp_path: Path) -> None:
    engine = tmp_path / "engine.py"
    engine.write_text(FAKE_ENGINE)
    command = shlex.join([sys.executable, str(engine), str(tmp_path)])
    calls = fake(fakes, "docker", f'{command} "$@"')
    package = fake(fakes, "dpkg-query", "exit 1")

    ensure()
    with open_broker(tmp_path / "unused") as url:
        port = int(url.removeprefix("amqp://guest:guest@127.0.0.1:").removesuffix("/"))
        assert handshake(port) == b"\x01"

    run, remove = (line for line in calls.read_text().splitlines() if line != "info")
    assert run.startswith("run --detach --rm --name relay-broker-")
    assert f" --publish 127.0.0.1:{port}:5672 rabbitmq:" in run
    assert remove == f"rm --force {run.split()[4]}"
    assert not package.exists()


@needs_package
def test_the_package_is_used_when_docker_cannot_run_the_image(
    tmp_path: Path, fakes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{fakes}:{os.defpath}")
    calls = fake(fakes, "docker", '[ "$1" = info ]')
    directory = tmp_path / "node"

    with open_broker(directory):
        assert processes_in(directory)

    assert "run" in calls.read_text()
    wait_until(lambda: not processes_in(directory))


@needs_package
def test_an_installed_package_is_enough(fakes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{fakes}:{os.defpath}")
    fake(fakes, "docker", "exit 1")
    apt = fake(fakes, "apt-get", "exit 1")

    ensure()

    assert not apt.exists()


def test_without_any_broker_one_sentence_says_what_to_do(fakes: Path) -> None:
    fake(fakes, "docker", "exit 1")

    assert not docker_available()
    assert not installed()
    for attempt in (install, ensure, open_broker(fakes / "unused").__enter__):
        with pytest.raises(BrokerError, match="sudo apt-get install rabbitmq-server"):
            attempt()


FAKE_ENGINE = f"""
import os, pathlib, signal, socket, sys

state, command, *arguments = sys.argv[1:]
pid_file = pathlib.Path(state, "container.pid")
if command == "rm" and pid_file.exists():
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
elif command == "run":
    _, port, _ = arguments[arguments.index("--publish") + 1].split(":")
    listener = socket.create_server(("127.0.0.1", int(port)))
    if container := os.fork():
        pid_file.write_text(str(container))
        sys.exit()
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(1, 2)
    signal.alarm(60)  # never outlive a test that failed
    while True:
        client, _ = listener.accept()
        if client.recv(8) == {PROTOCOL_HEADER!r}:
            client.sendall(b"\\x01")
"""


def fake(directory: Path, name: str, script: str) -> Path:
    """Put a program on PATH and return the file that will hold the arguments of its calls."""
    calls = directory / f"{name}.calls"
    program = directory / name
    program.write_text(f'#!/bin/sh\necho "$@" >>{shlex.quote(str(calls))}\n{script}\n')
    program.chmod(0o755)
    return calls


def handshake(port: int, *, timeout_s: float = 5) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as client:
        client.sendall(PROTOCOL_HEADER)
        return client.recv(1)


def wait_until(condition: Callable[[], bool], *, limit_s: float = 10) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def processes_in(directory: Path) -> list[int]:
    """Return the processes that work in a directory, as all of a node's do."""
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if readlink(process / "cwd") == str(directory)
    ]


def listening_addresses(pid: int) -> list[str]:
    sockets = {readlink(descriptor) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
    addresses = []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                addresses.append(address(local.split(":")[0], family))
    return addresses


def address(hexadecimal: str, family: socket.AddressFamily) -> str:
    """Read an address as /proc/net shows it: words of 32 bits in the byte order of the machine."""
    words = [hexadecimal[start : start + 8] for start in range(0, len(hexadecimal), 8)]
    packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    return socket.inet_ntop(family, packed)


def readlink(path: Path) -> str:
    """Return what a link in /proc points to; a process that has just ended has none."""
    try:
        return str(path.readlink())
    except OSError:
        return ""
