"""How long a check takes tells nothing about a secret. No clock is needed to see that.

Whatever is compared with a secret is compared by `hmac.compare_digest`, between digests of one
length, and as often for one guess as for the next.
"""

import hmac
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from relay import vendors
from relay.errors import Unauthenticated
from relay.vendors.kit.authentication import Secrets, require_signature, signature_of
from relay.vendors.kit.request import Request
from tests.support.rows import for_each

SECRET = "s3cret-Live"
LIVE = ["another", SECRET, "a third, longer than both of the others"]
VENDORS = vendors.discover()

# Wrong by one character or all of them, of every length.
GUESSES = [
    *[SECRET[:length] for length in range(1, len(SECRET))],
    *[SECRET[:place] + "~" + SECRET[place + 1 :] for place in range(len(SECRET))],
    *[SECRET + "x" * length for length in (1, 20, 500)],
    "x" * len(SECRET),
]

every_vendor = pytest.mark.parametrize("name", VENDORS)

Compared = list[tuple[int, int]]


class Untouchable(str):
    """A secret that may be encoded, but not looked at: no other comparison goes unnoticed."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _: object) -> bool:
        raise AssertionError("a secret was compared character by character")

    __lt__ = __gt__ = __contains__ = startswith = endswith = find = __eq__  # type: ignore[assignment]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    """Note the lengths of all that is compared in constant time."""
    found: Compared = []
    compare = hmac.compare_digest

    def spy(given: bytes, live: bytes) -> bool:
        found.append((len(given), len(live)))
        return compare(given, live)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    return found


def attempt(name: str, guess: str, live: list[str]) -> bool:
    """Return whether a delivery made with a guess is let in."""
    body = vendors.samples(name)[0].read_bytes()
    request = VENDORS[name].sign(body, guess).as_received()
    try:
        VENDORS[name].authenticate(request, Secrets([Untouchable(secret) for secret in live]))
    except Unauthenticated:
        return False
    return True


@every_vendor
def test_every_wrong_guess_is_compared_alike(name: str, compared: Compared) -> None:
    seen = set()

    for guess in GUESSES:
        assert not attempt(name, guess, LIVE)
        seen.add(tuple(compared))
        compared.clear()

    (comparisons,) = seen
    assert len(comparisons) % len(LIVE) == 0
    assert all(given == live in {32, 64} for given, live in comparisons)


@every_vendor
def test_a_secret_is_compared_alike_whatever_it_is(name: str, compared: Compared) -> None:
    seen = set()

    for secret in GUESSES:
        assert not attempt(name, SECRET, ["another", secret])
        seen.add(tuple(compared))
        compared.clear()

    assert len(seen) == 1


@every_vendor
def test_every_secret_is_tried_even_when_one_has_matched(name: str, compared: Compared) -> None:
    others = ["b" * length for length in range(4)]
    seen = set()

    for place in range(len(others) + 1):
        assert attempt(name, SECRET, [*others[:place], SECRET, *others[place:]])
        seen.add(tuple(compared))
        compared.clear()

    (comparisons,) = seen
    assert len(comparisons) == len(others) + 1


@every_vendor
@pytest.mark.parametrize("verdict", [True, False])
@pytest.mark.parametrize("guess", [SECRET, "wrong"])
def test_the_comparison_in_constant_time_alone_decides(
    name: str, guess: str, monkeypatch: pytest.MonkeyPatch, *, verdict: bool
) -> None:
    def decide(_: bytes, __: bytes) -> bool:
        return verdict

    monkeypatch.setattr(hmac, "compare_digest", decide)

    assert attempt(name, guess, LIVE) == verdict


def test_a_signature_of_any_length_is_compared_with_a_whole_one(compared: Compared) -> None:
    signature = signature_of(b"body", SECRET)
    secrets = Secrets(LIVE)

    for length in range(len(signature)):
        with pytest.raises(Unauthenticated):
            require_signature(signature[:length], [b"body"], secrets)

    assert compared == [(length, 64) for length in range(64) for _ in LIVE]


# Who asks for a token to be read back has to know it.

ECHOING = [name for name, vendor in VENDORS.items() if vendors.echoes(vendor)]
FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
CALLS: dict[str, Callable[[str], Request]] = {
    "header": lambda token: Request(body=b"", headers={"authorization": token}),
    "bearer": lambda token: Request(body=b"", headers={"authorization": f"Bearer {token}"}),
    "query": lambda token: Request(body=b"", query_string=urlencode({"token": token})),
    "path": lambda token: Request(body=b"", path_secret=token),
    "object": lambda token: Request(body=b'{"token":"%b"}' % token.encode()),
    "element": lambda token: Request(body=b'{"events":[{"token":"%b"}]}' % token.encode()),
    "string": lambda token: Request(body=b'"%b"' % token.encode()),
    "text": lambda token: Request(body=token.encode()),
    "form": lambda token: Request(body=b"token=%b" % token.encode(), headers=FORM),
    "multipart": lambda token: Request(
        body=b'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n%b\r\n--b--'
        % token.encode(),
        headers=MULTIPART,
    ),
}


@for_each(call=CALLS, name=ECHOING)
def test_a_handshake_with_a_live_secret_reads_it_back(name: str, call: str) -> None:
    echo = VENDORS[name].authenticate(CALLS[call](SECRET), Secrets(LIVE))

    assert echo
    assert echo.token == SECRET


@every_vendor
@for_each(call=CALLS, guess=["", " ", "x" * 11, SECRET[:-1], SECRET + "x", "another,third"])
def test_a_forged_handshake_reads_nothing_back(name: str, call: str, guess: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        VENDORS[name].authenticate(CALLS[call](guess), Secrets(LIVE))

    assert not guess.strip() or guess not in str(refused.value)


@every_vendor
def test_an_unsigned_call_reads_nothing_back(name: str) -> None:
    for body in (b"", b"{}", b"[]", b"null", b'{"token":null}', b'{"events":[]}', b"token"):
        with pytest.raises(Unauthenticated):
            VENDORS[name].authenticate(Request(body=body), Secrets(LIVE))
