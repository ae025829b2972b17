"""Where `relay tail` takes each event besides the terminal: a URL, a folder, a program."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp

from relay.cli.private_file import write_new
from relay.errors import RelayError

_TIMEOUT_S = 30
_CONTENT_TYPE = "application/cloudevents+json"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_NAME_CHARACTERS = 100

Target = Callable[[int, str, bytes], Awaitable[str]]
"""Takes the number of an event, its routing key and its body; returns what came of it."""


@contextlib.asynccontextmanager
async def posting(url: str) -> AsyncIterator[Target]:
    """Post each event to a URL as a structured CloudEvent; redirects are not followed."""

    async def post(_number: int, routing_key: str, body: bytes) -> str:
        headers = {"content-type": _CONTENT_TYPE, "x-routing-key": _header_value(routing_key)}
        started_at = time.monotonic()
        try:
            async with http.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = str(response.status)
        except TimeoutError:
            status = f"no answer within {_TIMEOUT_S} s"
        except aiohttp.ClientConnectorError as error:
            status = f"can't be reached ({error.os_error.strerror})"
        except aiohttp.ClientError as error:  # its text may hold the URL, and that a secret
            status = f"broke off ({type(error).__name__})"
        return f"{status} in {(time.monotonic() - started_at) * 1000:.0f} ms"

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        yield post


def saving(directory: Path) -> Target:
    """Write each event into a file of its own, which is never one that is there already.

    Raises:
        RelayError: the folder can't be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RelayError(f"{directory} can't be made: {error.strerror}.") from error

    async def save(number: int, routing_key: str, body: bytes) -> str:
        name = _UNSAFE.sub("_", routing_key)[:_MAX_NAME_CHARACTERS]
        path = directory / f"{time.time_ns()}-{number:06d}-{name}.json"
        try:
            await asyncio.to_thread(write_new, path, body)
        except OSError as error:
            raise RelayError(f"{path} can't be written: {error.strerror}.") from error
        return path.name

    return save


def executing(command: str) -> Target:
    """Run a command of the shell for each event, with the event on its stdin."""

    async def execute(_number: int, routing_key: str, body: bytes) -> str:
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.PIPE,
            env=os.environ | {"ROUTING_KEY": routing_key.replace("\0", "")},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await process.communicate(body)
        except TimeoutError:
            return f"ended after {_TIMEOUT_S} s"
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                await process.wait()
        return f"exit {process.returncode}"

    return execute


def _header_value(text: str) -> str:
    return re.sub(r"[^\x21-\x7e]", "?", text)
