"""What an endpoint's settings may say of its requests: headers, media type, proxy. Pure.

The texts of errors show no value: headers and the proxy's URL may hold credentials.
"""

import re
from collections.abc import Mapping

from yarl import URL

CLOUDEVENTS = "application/cloudevents+json"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, 5.6.2  # noqa: S105  no secret
_NAME = re.compile(_TOKEN)
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
_PARAMETER = rf"; ?{_TOKEN}=(?:{_TOKEN}|\"[\x20-\x21\x23-\x7e]*\")"
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:{_PARAMETER})*")
_MAX_HEADERS = 50
_OURS = {
    *("webhook-id", "webhook-timestamp", "webhook-signature", "traceparent", "content-type"),
    *("content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te"),
    *("trailer", "expect", "host", "proxy-authorization", "proxy-connection"),
}
"""What signs a request, or frames it; and `content-type`, a setting of its own."""


def check_headers(headers: Mapping[str, str]) -> None:
    """Check headers of one's own.

    Raises:
        ValueError: one can't be sent, or is set by us.
    """
    if len(headers) > _MAX_HEADERS:
        raise ValueError(f"at most {_MAX_HEADERS} are sent")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("two differ in capitals only")
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if name.lower() in _OURS:
            raise ValueError(f"{name} is not for you to set")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} must be of visible ASCII on one line")


def check_content_type(content_type: str) -> None:
    """Raise ValueError if it is no media type."""
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise ValueError("it must be a media type, such as application/json")


def check_proxy(proxy: str) -> None:
    """Raise ValueError if it is no URL of an HTTP proxy."""
    wanted = "it must be http://host:port or https://host:port, perhaps with user:password@"
    try:
        url = URL(proxy)
    except ValueError as error:
        raise ValueError(wanted) from error
    is_bare = url.path in {"", "/"} and not url.query_string and not url.fragment
    if url.scheme not in {"http", "https"} or not url.host or not is_bare:
        raise ValueError(wanted)
