"""An incoming webhook of a chat service: texts are posted, no faster than its rate allows.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import structlog

from consumers.kit.consuming.decision import MAX_WAIT_S
from consumers.kit.errors import Unavailable
from consumers.kit.retry_after import wait_s
from consumers.notify.text import digest
from relay.errors import RelayError
from relay.process.rate_limiter import RateLimiter

_TRANSIENT = {408, 429}  # and all from 500 up
_ERROR = re.compile(rb"[a-z_]{1,64}")  # such as `no_service`; any other body is not ours to log


@dataclass(slots=True, eq=False)
class _Line:
    """The text for one event, and whether a message shows it, or why none does."""

    text: str
    is_shown: bool | RelayError | None = None


class Webhook:
    """Post texts, one message at a time. Texts that have to wait share the next message.

    Args:
        name: in the log and in `/readyz`; the URL contains a secret.
        url: where to post.
        http: the session to do it with; its timeout counts.
        limiter: of messages.
    """

    def __init__(
        self, *, name: str, url: str, http: aiohttp.ClientSession, limiter: RateLimiter
    ) -> None:
        self._name = name
        self._url = url
        self._http = http
        self._limiter = limiter
        self._clock = asyncio.get_running_loop().time
        self._posting = asyncio.Lock()
        self._waiting: list[_Line] = []
        self._closed_until = 0.0
        self._log = structlog.get_logger("consumers").bind(webhook=name)

    async def post(self, text: str) -> bool:
        """Return once a message was accepted that shows text, or counts it among others.

        Returns:
            Whether the message shows the text.

        Raises:
            Unavailable: the webhook can't be reached, fails, or asks to wait.
            RelayError: it refuses; a person has to look.
        """
        line = _Line(text)
        self._waiting.append(line)
        try:
            async with self._posting:
                if line in self._waiting:  # otherwise the last message had it
                    await self._wait_for_turn()
                    await self._post_waiting()
        finally:
            if line in self._waiting:
                self._waiting.remove(line)
        match line.is_shown:
            case None:
                raise Unavailable(f"posting to the webhook {self._name} was broken off")
            case RelayError() as error:
                raise error.with_traceback(None)  # the same error is raised for each line
            case is_shown:
                return is_shown

    async def _wait_for_turn(self) -> None:
        closed_for_s = self._closed_until - self._clock()
        if closed_for_s > 0:
            reason = f"the webhook {self._name} asks to wait"
            raise Unavailable(reason, retry_after_s=closed_for_s)
        await asyncio.sleep(self._limiter.reserve(self._clock()))

    async def _post_waiting(self) -> None:
        lines, self._waiting = self._waiting, []
        text, shown = digest([line.text for line in lines])
        try:
            await self._request(text)
        except RelayError as error:
            for line in lines:
                line.is_shown = error
            return
        for number, line in enumerate(lines):
            line.is_shown = number < shown
        self._log.info("notified", events=len(lines), shown=shown)

    async def _request(self, text: str) -> None:
        try:
            async with self._http.post(
                self._url, json={"text": text}, allow_redirects=False
            ) as response:
                if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    return
                failure = self._failure(response.status, await response.content.read(64))
                asked_s = wait_s(response.headers.get("Retry-After"), now=time.time())
        except TimeoutError:
            raise Unavailable(f"the webhook {self._name} did not answer in time") from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            # Its text, and so a traceback, may show the URL. UnicodeError: a host name too long.
            reason = f"the webhook {self._name} can't be reached: {type(error).__name__}"
            raise Unavailable(reason) from None
        if isinstance(failure, Unavailable) and asked_s is not None:
            failure.retry_after_s = min(asked_s, MAX_WAIT_S)
            self._closed_until = self._clock() + failure.retry_after_s
        raise failure

    def _failure(self, status: int, body: bytes) -> RelayError:
        word = f" {body.decode()}" if _ERROR.fullmatch(body) else ""
        answer = f"the webhook {self._name} answers {status}{word}"
        is_transient = status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return Unavailable(answer) if is_transient else RelayError(answer)


@contextlib.asynccontextmanager
async def open_webhooks(
    names: Mapping[str, str], *, max_per_minute: int, timeout_s: float
) -> AsyncIterator[dict[str, Webhook]]:
    """Yield a webhook for each URL.

    Args:
        names: the name of the webhook, by URL.
        max_per_minute: messages to each; a quarter of them may go at once.
        timeout_s: for a response.
    """
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timeout_s), cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        yield {
            url: Webhook(
                name=name,
                url=url,
                http=http,
                limiter=RateLimiter(max_per_minute / 60, burst=max(1, max_per_minute // 4)),
            )
            for url, name in names.items()
        }
