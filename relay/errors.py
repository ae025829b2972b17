"""Every error the relay raises on purpose, and nothing else.

RelayError
├── Refused            400  an HTTP request is answered with `status` and problem type `slug`
│   ├── Unauthenticated    401  not who it says it is; nothing was stored
│   ├── NotForBrowsers     403  the admin port is asked to act by what may be a page in a browser
│   ├── UnknownSource      404  no such source; nothing was stored
│   ├── MethodNotAllowed   405
│   ├── HeadTooSlow        408
│   ├── BodyTooSlow        408
│   ├── BodyTooLarge       413
│   ├── UnsupportedEncoding 415
│   ├── HeadTooLarge       431
│   ├── InternalError      500  our bug; the log has the traceback
│   └── ServiceUnavailable 503  cannot be taken now; try again later
│       └── StorageFull    503  the outbox is full
├── NotDurable           a sink can't make messages durable now; try again later
│   └── OutboxFull           the bound of the outbox is reached
├── Malformed            authenticated, but not understood: quarantined under `reason`
├── OutboxError          the outbox can't be opened or used
│   └── OutboxCorrupt        its database is damaged
├── BrokerError          RabbitMQ can't be reached or used now; tried again later
│   └── TopologyError    an exchange or queue is missing, or exists with other properties
├── SettingsError        the settings are wrong; `problems` names each one
└── UnfitLibrary         a library that is installed is not of a release that works
"""

from collections.abc import Sequence


class RelayError(Exception):
    """Root of all errors raised on purpose. Its text is one clear sentence."""


class Refused(RelayError):
    """A request that is answered with an error. Nothing was stored, unless a subclass says so."""

    status = 400
    slug = "bad-request"
    title = "Bad request"


class Unauthenticated(Refused):
    """The caller did not prove who it is.

    Args:
        detail: one sentence.
        reason: one of AUTHENTICATION_REASONS, for the log and the metrics; no caller sees it.
    """

    status = 401
    slug = "unauthenticated"
    title = "Authentication failed"

    def __init__(self, detail: str, reason: str = "unauthenticated") -> None:
        super().__init__(detail)
        self.reason = reason


AUTHENTICATION_REASONS = (
    "unauthenticated",  # where a vendor's code says no more
    "not_allowed_from",
    "token_missing",
    "token_wrong",
    "signature_missing",
    "signature_malformed",
    "signature_wrong",
    "timestamp_missing",
    "timestamp_malformed",
    "too_old",
    "too_new",
)


class NotForBrowsers(Refused):
    """The admin port is asked by what may be a page in a browser. Nothing was done."""

    status = 403
    slug = "not-for-browsers"
    title = "Not for browsers"


class UnknownSource(Refused):
    """The path names no configured source."""

    status = 404
    slug = "unknown-source"
    title = "No such source"


class MethodNotAllowed(Refused):
    """Only POST delivers webhooks; some vendors also ask something with GET, HEAD or OPTIONS."""

    status = 405
    slug = "method-not-allowed"
    title = "Only POST is allowed"


class HeadTooSlow(Refused):
    """A head that has begun did not end in time. It is logged; the caller gets no answer."""

    status = 408
    slug = "head-too-slow"
    title = "The head took too long"


class BodyTooSlow(Refused):
    """The body did not arrive within `ingress.read_timeout_s`."""

    status = 408
    slug = "body-too-slow"
    title = "The body took too long"


class BodyTooLarge(Refused):
    """The body is larger than `ingress.body_limit_bytes`, as sent or once decompressed."""

    status = 413
    slug = "body-too-large"
    title = "The body is too large"


class UnsupportedEncoding(Refused):
    """The Content-Encoding is none of identity, gzip and deflate."""

    status = 415
    slug = "unsupported-encoding"
    title = "Unsupported Content-Encoding"


class HeadTooLarge(Refused):
    """The head is beyond `ingress.header_limit_bytes` or `ingress.header_limit_count`."""

    status = 431
    slug = "head-too-large"
    title = "The header fields are too large"


class InternalError(Refused):
    """Something went wrong that should not have. Nothing was acknowledged."""

    status = 500
    slug = "internal-error"
    title = "Internal error"


class ServiceUnavailable(Refused):
    """The event can't be taken now. The sender may try again; it may be stored all the same."""

    status = 503
    slug = "unavailable"
    title = "Try again later"


class StorageFull(ServiceUnavailable):
    """The event can't be taken now because the outbox is full."""

    slug = "outbox-full"
    title = "The outbox is full"


class NotDurable(RelayError):
    """A sink can't make messages durable now. They may be appended again later."""


class OutboxFull(NotDurable):
    """The outbox has reached `outbox.max_bytes`."""


class Malformed(RelayError):
    """An authenticated delivery the vendor's code does not understand.

    Args:
        reason: a slug of `[a-z0-9_]`, the second word of the quarantine's routing key.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutboxError(RelayError):
    """The outbox can't be opened or used."""


class OutboxCorrupt(OutboxError):
    """The outbox's database is damaged, or no database."""


class BrokerError(RelayError):
    """RabbitMQ can't be reached or used now."""


class TopologyError(BrokerError):
    """An exchange or queue is missing, or exists with other properties than ours."""


class SettingsError(RelayError):
    """The settings are wrong.

    Args:
        problems: one sentence per problem, each naming the setting.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class UnfitLibrary(RelayError):
    """A library is missing, or is not of a release that works with this program."""


def words_of(error: BaseException) -> str:
    """Return what an error says; of the system's, without number and path."""
    return getattr(error, "strerror", None) or str(error)
