"""`make run`: a RabbitMQ, the relay, its console and a tail of its events, until Ctrl-C.

`make demo` shares the public functions: children, their environment, waiting for the relay.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from asyncio import StreamReader
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any, cast

import aiohttp
import click

from deploy.local.broker import URLS_VARIABLE, BrokerError, open_broker
from deploy.local.private_server import free_port
from relay import vendors
from relay.errors import RelayError
from relay.process.bound_sockets import Hosts, bound
from relay.settings import load

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path("deploy/local/relay.toml")
BROKER_DIRECTORY = ROOT / ".run" / "rabbitmq"
PORTS = ("RELAY_INGRESS__PORT", "RELAY_ADMIN__PORT", "RELAY_CONSOLE__PORT")

_READY_LIMIT_S = 30.0
_STOP_LIMIT_S = 25.0  # `ingress.shutdown_grace_s` is 20
_POLL_INTERVAL_S = 0.05
_MAX_LINE_BYTES = 32 * 1024 * 1024  # of a child's output; an event may have 16 MiB

Environment = Mapping[str, str]


def main() -> int:
    """Run everything; return 0 if it was interrupted, 1 if a part of it died."""
    os.chdir(ROOT)
    try:
        with open_broker(BROKER_DIRECTORY) as urls:
            return asyncio.run(until_interrupted(_run(_environment(urls)), interrupted=0))
    except KeyboardInterrupt:  # while the broker starts or stops
        return 0
    except (BrokerError, RelayError) as error:
        click.echo(str(error), err=True)
        return 1


def _environment(urls: str) -> Environment:
    settings = load(CONFIG)
    wanted: list[tuple[Hosts, int]] = [(settings.ingress.host, settings.ingress.port)]
    wanted += [(settings.admin.host, settings.admin.port)]
    wanted += [(settings.console.host, settings.console.port)]
    ports = {}
    for name, (hosts, port) in zip(PORTS, wanted, strict=True):
        ports[name] = str(_port(hosts, port))
        if ports[name] != str(port):
            click.echo(f"port {port} is taken: {name}={ports[name]}", err=True)
    return environment(urls, **ports)


async def _run(environment: Environment) -> int:
    async with relay("serve", environment=environment) as serve:
        await wait_until_ready(serve, environment)
        async with (
            relay("console", environment=environment) as console,
            listening_tail(environment=environment) as tail,
        ):
            messages = asyncio.create_task(_pass_on(cast("StreamReader", tail.stderr)))
            click.echo(_lines_to_try(environment))
            children = {"serve": serve, "console": console, "tail": tail}
            ends = [
                asyncio.create_task(child.wait(), name=name) for name, child in children.items()
            ]
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if tail.returncode is not None:
                await messages
            for end in done:
                click.echo(f"`relay {end.get_name()}` ended with {end.result()}.", err=True)
    return 1


async def _pass_on(messages: StreamReader) -> None:
    async for line in messages:
        click.echo(line, err=True, nl=False)


def _lines_to_try(environment: Environment) -> str:
    given = [name for name in (*PORTS, URLS_VARIABLE) if os.environ.get(name) != environment[name]]
    exports = " ".join(f"{name}={environment[name]}" for name in ("RELAY_CONFIG", *given))
    relay_command = shlex.join([os.path.relpath(sys.executable), "-m", "relay"])
    ingress, admin, console = (f"http://127.0.0.1:{environment[name]}" for name in PORTS)
    return f"""
The relay listens on {ingress}; probes and metrics are on {admin}.
A page shows all of it: {console}/
Try in another terminal, in this directory:

    curl -i {ingress}/in/swiftsell -H 'Authorization: demo-swiftsell-secret' \\
        --data-binary @relay/vendors/samples/swiftsell/02-message-text.json
    curl {admin}/readyz

    export {exports}
    {relay_command} send swiftsell 02
    {relay_command} send all --all --handshake
    {relay_command} quarantine list

Events appear here. Ctrl-C ends it all.
"""


def environment(urls: str, **settings: str) -> Environment:
    """Return the environment of the children: ours, the demo configuration, and settings.

    A vendor that has no source in the configuration, such as one you are adding, gets one.
    """
    known = load(CONFIG).sources
    for name in vendors.discover():
        if name not in known:
            source = f"RELAY_SOURCES__{name.upper()}"
            settings |= {f"{source}__VENDOR": name, f"{source}__SECRETS": f"demo-{name}-secret"}
    return {**os.environ, "RELAY_CONFIG": str(CONFIG), URLS_VARIABLE: urls, **settings}


def _port(hosts: Hosts, wanted: int) -> int:
    """Return the wanted port if it is free, else another one on loopback."""
    if wanted:
        with contextlib.suppress(RelayError), bound(hosts, wanted, "a listener"):
            return wanted
    return free_port()


@contextlib.asynccontextmanager
async def relay(
    *arguments: str,
    environment: Environment,
    module: str = "relay",
    stdout: int | None = None,
    stderr: int | None = None,
) -> AsyncIterator[Process]:
    """Run a command of the relay, or a service, as a child; end it on the way out."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, *arguments),
        cwd=ROOT,
        env=environment,
        limit=_MAX_LINE_BYTES,
        start_new_session=True,  # Ctrl-C reaches only us, and we end the children in order
        stdout=stdout,
        stderr=stderr,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), _STOP_LIMIT_S)
        except TimeoutError:
            child.kill()
            await child.wait()


@contextlib.asynccontextmanager
async def listening_tail(
    *options: str, environment: Environment, stdout: int | None = None
) -> AsyncIterator[Process]:
    """Run `relay tail` as a child that misses no event from here on. Its stderr is a pipe.

    Raises:
        RelayError: it did not start; the message holds its own.
    """
    async with relay("tail", *options, environment=environment, stdout=stdout, stderr=PIPE) as tail:
        line = (await cast("StreamReader", tail.stderr).readline()).decode()
        if not line.startswith("Waiting"):
            raise RelayError(f"`relay tail` did not start: {line.rstrip()}")
        yield tail


async def wait_until_ready(serve: Process, environment: Environment) -> None:
    """Return once the relay accepts webhooks and is connected to its broker.

    Raises:
        RelayError: it ended, or that took too long.
    """
    url = f"http://127.0.0.1:{environment['RELAY_ADMIN__PORT']}/readyz"
    reason: str | None = "it did not answer"
    try:
        async with asyncio.timeout(_READY_LIMIT_S), aiohttp.ClientSession() as http:
            while reason := await _not_ready(http, url):
                if serve.returncode is not None:
                    raise RelayError(f"`relay serve` ended with {serve.returncode}.")
                await asyncio.sleep(_POLL_INTERVAL_S)
    except TimeoutError as error:
        raise RelayError(f"Not ready within {_READY_LIMIT_S:g} s: {reason}") from error


async def _not_ready(http: aiohttp.ClientSession, url: str) -> str | None:
    """Return why the relay is not ready, or None if it is and is connected to its broker."""
    try:
        async with http.get(url) as response:
            answer = await response.json()
    except aiohttp.ClientError:
        return "the relay does not answer."
    reason: str | None = answer.get("reason") or answer["broker"]["reason"]
    return reason


async def until_interrupted(work: Coroutine[Any, Any, int], *, interrupted: int) -> int:
    """Return what work returns, or `interrupted` once a signal has ended it in order."""
    task = asyncio.ensure_future(work)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    signalled = asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, signalled}, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return interrupted


if __name__ == "__main__":
    sys.exit(main())
