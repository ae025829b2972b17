"""Paths and queries that mean something to file systems and databases, and nothing to the relay."""

from collections.abc import Iterator

from tests.hostile.attack import Attack, Shot, request, shot
from tests.support.relay_process import SECRET

_NO_SOURCE = (
    "/in/%2fswiftsell",
    "/in/swiftsell%2f",
    "/in/%73wiftsell",  # spelled otherwise is another name: no decoding before the source is found
    "/in/swiftsell%00",
    "/in/swiftsell%2e",
    "/in/..%2fin%2fswiftsell",
    "/in/../in/swiftsell",
    "/in/./swiftsell",
    "/in//swiftsell",
    "//in/swiftsell",
    "/in/swiftsell;a=1",
    "/in/SWIFTSELL",
    "/in/",
    "/",
    "/metrics",
    "/readyz",
    "/in/..%5c..%5cetc%5cpasswd",
    "/in/%ff%fe",
    "/in/%",
    "/in/%252e%252e",
    "/in/" + "../" * 1000,
)
_NO_SECRET = (
    f"%2f{SECRET}",
    f"{SECRET}%00",
    f"%00{SECRET}",
    f"..%2f{SECRET}",
    f"{SECRET}%0d%0a",
    f"%20{SECRET}",
    f"{SECRET}%",
    "..",
    "%2e%2e",
    "%00",
    "%ff",
    "%ed%a0%80",
    "%u0073%u0033",
    "",
    "a" * 8000,
    "%00" * 2500,
)
_NO_TOKEN = (
    f"token={SECRET}%00",
    f"token=%00&token=x{SECRET}",
    f"token[]={SECRET}",
    f"token={SECRET};a=1",
    f"TOKEN={SECRET}",
    "&" * 64 + f"token={SECRET}",  # too many fields are none at all
    "token=" * 1000,
    "%" * 8000,
    "token=%ff%fe",
)
_BROKEN = (b"/in/swift\0sell", b"/in/swift\rsell", b"/in/swift\tsell", b"/in/swift sell", b"in")


def _paths() -> Iterator[Shot]:
    for path in _NO_SOURCE:
        yield shot(path[:40], request(path, {"Authorization": SECRET}), 404)
    for target in _BROKEN:
        wire = request("TARGET", {"Authorization": SECRET}).replace(b"TARGET", target)
        yield shot(repr(target), wire, 400, closes=True)


def _secrets() -> Iterator[Shot]:
    for secret in _NO_SECRET:
        yield shot(secret[:40], request(f"/in/pickyassist/{secret}"), 401)
    for query in _NO_TOKEN:
        yield shot(query[:40], request(f"/in/channeltalk?{query}"), 401)


ATTACKS = (
    Attack(name="paths", shots=_paths),
    Attack(name="secrets", shots=_secrets),
)
