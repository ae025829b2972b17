"""What happens to a request of the public listener, from its admission to its one answer.

Imports nothing of the publisher: whether RabbitMQ is there can't fail a request, other than
through the sink it is given.

    handle, _process_arrivals, _process, Sink.append_all, PendingResponse.complete, finish

Large and compressed bodies take a task and a subprocess in place of `_process`. Whatever goes wrong
on the way, every request ends in `finish`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multidict import CIMultiDict

from relay import vendors
from relay.errors import MethodNotAllowed, Unauthenticated, UnknownSource
from relay.ingress import client_address, http_body
from relay.ingress.client_address import Network
from relay.ingress.outcomes import Outcomes
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.ingress.processing_subprocess import ProcessingSubprocess
from relay.ingress.request_context import RequestContext
from relay.sink import Sink, complete_all
from relay.vendors.kit.request import Request

_MAX_OBJECTS_ON_LOOP = 300
"""About 8 ms; 64 KiB may hold events for 100 ms."""
_MAX_COMMAS_ON_LOOP = 600
"""Elements of an array that are no objects are separated by as many, and each may be quarantined
alone: 18 KB of numbers take 100 ms. Those of a text of 30 KB are fewer."""
_MIN_COUNTED_BYTES = 4096
"""Most deliveries are smaller, and none of these can hold up others for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressOptions:
    """The settings of an ingress.

    Args:
        body_limit_bytes: of a body, as sent and once decompressed.
        trusted_proxies: networks whose X-Forwarded-For is believed.
        large_body_bytes: from here on a delivery is processed in the subprocess, so that small
            ones need not wait for it. With 0 all are: then there is no fast path.
    """

    body_limit_bytes: int
    trusted_proxies: Sequence[Network] = ()
    large_body_bytes: int = 64 * 1024

    def takes_long(self, body: bytes) -> bool:
        """Return whether a body is processed in the subprocess: it is large, or of many values.

        Each may be an event, which costs as much as a kilobyte of text.
        """
        if len(body) < min(_MIN_COUNTED_BYTES, self.large_body_bytes):
            return False
        return (
            len(body) >= self.large_body_bytes
            or body.count(b"{") > _MAX_OBJECTS_ON_LOOP
            or body.count(b",") > _MAX_COMMAS_ON_LOOP
        )


class PendingResponse:
    """A request that is answered once its messages are durable."""

    __slots__ = ("_ingress", "_processed", "_request", "messages")

    def __init__(
        self, ingress: "Ingress", request: RequestContext, processed: ProcessedDelivery
    ) -> None:
        self._ingress = ingress
        self._request = request
        self._processed = processed
        self.messages = processed.messages

    def complete(self, error: Exception | None) -> None:
        """Answer the request: its messages are durable, or error says why they are not."""
        self._ingress.finish(self._request, error or self._processed)


class Ingress:
    """Answers requests. `sources` may be replaced at any time.

    Args:
        sink: where messages become durable.
        sources: the endpoints by name.
        options: see there.
        subprocess: processes large deliveries.
        outcomes: turns what became of a request into its answer, and reports it.
    """

    def __init__(
        self,
        *,
        sink: Sink,
        sources: Mapping[str, Source],
        options: IngressOptions,
        subprocess: ProcessingSubprocess,
        outcomes: Outcomes,
    ) -> None:
        self.is_closing = False
        self._sink = sink
        self._options = options
        self._subprocess = subprocess
        self._outcomes = outcomes
        self.sources = sources
        self._arrivals: list[RequestContext] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def sources(self) -> Mapping[str, Source]:
        """The endpoints by name."""
        return self._sources

    @sources.setter
    def sources(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._outcomes.set_sources(sources)

    # What a connection calls; see receiver.py.

    def admit(self, request: RequestContext) -> None:
        """Find the source; raise Refused for a request that is wrong whatever its body."""
        client = request.head.remote
        if self._options.trusted_proxies:
            hops = request.head.headers.getall("x-forwarded-for", [])
            client = client_address.client_address(client, hops, self._options.trusted_proxies)
        request.line["client"] = client
        source = self._sources.get(request.source_name)
        if source is None:
            raise UnknownSource("no source of that name is configured")
        method = request.head.method
        if method != "POST" and not vendors.answers(source.vendor, method):
            raise MethodNotAllowed(f"{method} is not POST")
        request.source = source
        if source.allow_from and not client_address.is_within(client, source.allow_from):
            raise Unauthenticated("the caller's address is not in allow_from", "not_allowed_from")
        request.encoding = request.head.headers.get("content-encoding")
        if request.encoding is not None:
            http_body.check_encoding(request.encoding)

    def handle(self, request: RequestContext) -> None:
        """Take a request whose body is whole.

        Requests that arrive in one event-loop iteration are processed as a batch: interleaving
        them with system calls evicts the CPU caches, which costs as much as the work itself.
        """
        self._arrivals.append(request)
        if len(self._arrivals) == 1:
            asyncio.get_running_loop().call_soon(self._process_arrivals)

    def refuse(self, request: RequestContext, error: Exception) -> None:
        """Answer a request whose body was not read to its end."""
        self.finish(request, error)

    # From the whole request to the sink.

    def _process_arrivals(self) -> None:
        requests, self._arrivals = self._arrivals, []
        pending = [response for request in requests if (response := self._process(request))]
        if pending:
            self._append(pending)

    def _process(self, request: RequestContext) -> PendingResponse | None:
        """Return what is to be made durable; None if the request is answered, or takes a task."""
        try:
            self.admit(request)  # also where its head was: sources may have been replaced since
            http_body.check_size(len(request.body), self._options.body_limit_bytes)
            if request.encoding is not None or self._options.takes_long(request.body):
                self._spawn(request)
                return None
            delivery = self._as_vendors_see_it(request, request.body)
            processed = process_delivery(
                delivery, request.source, request.received_at, request.delivery_id
            )
        except Exception as error:  # noqa: BLE001  one delivery's bug must not end the relay
            self.finish(request, error)
            return None
        return self._pending(request, processed)

    def _spawn(self, request: RequestContext) -> None:
        task = asyncio.get_running_loop().create_task(self._process_slowly(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _process_slowly(self, request: RequestContext) -> None:
        """Do what `_process` does, without holding up other requests."""
        try:
            body = await http_body.decompressed(
                request.body,
                request.encoding or "identity",
                request.reservation,
                limit_bytes=self._options.body_limit_bytes,
            )
            delivery = self._as_vendors_see_it(request, body)
            arguments = (delivery, request.source, request.received_at, request.delivery_id)
            if self._options.takes_long(body):
                processed = await self._subprocess.process_delivery(*arguments)
            else:
                processed = process_delivery(*arguments)
        except Exception as error:  # noqa: BLE001  as in _process
            self.finish(request, error)
            return
        if pending := self._pending(request, processed):
            self._append([pending])

    def _as_vendors_see_it(self, request: RequestContext, body: bytes) -> Request:
        """Return what a vendor's code sees. Traced, its events are children of our span."""
        delivery = request.as_vendors_see_it(body)
        self._outcomes.begin_span(request)
        if request.span is None:
            return delivery
        headers = CIMultiDict(delivery.headers)
        headers["traceparent"] = request.span.traceparent
        return delivery._replace(headers=headers)

    def _pending(
        self, request: RequestContext, processed: ProcessedDelivery
    ) -> PendingResponse | None:
        self._outcomes.note_authenticated(request)
        if processed.messages:
            return PendingResponse(self, request, processed)
        self.finish(request, processed)  # a handshake
        return None

    def _append(self, pending: Sequence[PendingResponse]) -> None:
        try:
            self._sink.append_all(pending)
        except Exception as error:  # noqa: BLE001  nobody may be left without an answer
            complete_all(pending, error)

    # The end.

    def finish(self, request: RequestContext, outcome: ProcessedDelivery | Exception) -> None:
        """Answer a request, then log, count and trace it. All ways out lead here."""
        request.reservation.release()
        response = self._outcomes.response(request, outcome)
        if self.is_closing:
            response = response._replace(is_last=True)
        request.reply(response)
        self._outcomes.report(request, response.status)
