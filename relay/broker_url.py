"""The URL of a broker, read from where it is kept."""

from urllib.parse import urlsplit

from relay.settings_file import resolve_secrets


def read(reference: str) -> str:
    """Return the URL itself: reference, or what `env:NAME` or `file:PATH` hold by now.

    Raises:
        ValueError: it can't be read, or is no URL of a broker. The text has no password.
    """
    (url,) = resolve_secrets([reference])
    if not _is_broker_url(url):
        raise ValueError(
            f"{'each' if url == reference else reference} must be amqp://user:password@host:port/"
            "vhost or amqps://..., with special characters percent-encoded"
        )
    return url


def _is_broker_url(url: str) -> bool:
    try:
        parsed = urlsplit(url)
        port = parsed.port  # raises for what follows a `/` or `#` in the password
    except ValueError:
        return False
    return parsed.scheme in {"amqp", "amqps"} and bool(parsed.hostname) and port != 0
