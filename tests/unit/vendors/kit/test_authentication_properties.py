"""Whatever arrives, `authenticate` lets in who knows a secret and raises Unauthenticated else."""

import json
import string

import pytest
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from relay import vendors
from relay.errors import Unauthenticated
from relay.vendors.kit.authentication import Secrets, signature_of
from relay.vendors.kit.request import Request
from tests.support.rows import for_each

SECRET = "s3cret-Live+1/x=="
SECRETS = Secrets([SECRET, "12345"])
VENDORS = vendors.discover()
SAMPLES = {name: [sample.read_bytes() for sample in vendors.samples(name)] for name in VENDORS}

every_vendor = pytest.mark.parametrize("name", VENDORS)

# Requests as nobody sends them.

TEXTS = ["token", "=", "&", SECRET, "Bearer ", "%", "%ff", "+", "\udcff", "é", "\x00", ",", ";"]
HEADERS = ["Content-Disposition: ", "Content-Type: ", "Content-Transfer-Encoding: ", "To: "]
PIECES = [
    "--b\r\n",
    "--b--",
    "\r\n",
    "form-data",
    "; ",
    "name=",
    "name*",
    "*0",
    "''",
    '"',
    "token *",
]
VALUES = ["multipart/x; boundary=", "base64", "message/rfc822", "(", "\\", "@", ":", "=?utf-8?q?"]

texts = st.lists(st.sampled_from(TEXTS) | st.text(max_size=4), max_size=6).map("".join)
hostile = st.lists(st.sampled_from(TEXTS + HEADERS + PIECES + VALUES), max_size=25).map("".join)
header_names = st.sampled_from(
    ["authorization", "token", "x-token", "x-api-key", "x-acquire-signature", "x-other"]
)
content_types = st.one_of(
    st.sampled_from(["", "application/json", "application/x-www-form-urlencoded"]),
    st.just("multipart/form-data; boundary=b"),
    hostile.map("multipart/form-data; ".__add__),
)
documents = st.recursive(
    st.none() | st.integers() | st.floats() | st.sampled_from([SECRET, "", "\ud83d"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["token", "events", "1", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
bodies = st.one_of(
    hostile.map(lambda text: text.encode(errors="surrogateescape")),
    documents.map(lambda document: json.dumps(document).encode()),
    st.integers(0, 3_000).map(lambda depth: b'{"events":' * depth + b"1" + b"}" * depth),
    st.binary(max_size=100),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    headers = draw(st.dictionaries(header_names, texts, max_size=3))
    return Request(
        body=draw(bodies),
        headers=headers | {"content-type": draw(content_types)},
        query_string=draw(texts | st.just("token=x&" * 100)),
        path_secret=draw(st.none() | texts),
    )


# Each goes to all vendors, twice: to make one up takes longer than to refuse it.
@settings(max_examples=4 * settings().max_examples)
@given(request_=requests())
def test_a_request_is_let_in_or_unauthenticated_and_never_without_a_secret(
    request_: Request,
) -> None:
    for name, vendor in VENDORS.items():
        note(name)
        with pytest.raises(Unauthenticated):
            vendor.authenticate(request_, Secrets(["never sent"]))
        try:
            echo = vendor.authenticate(request_, SECRETS)
        except Unauthenticated as error:
            assert SECRET not in str(error)  # noqa: PT017  both outcomes are right
            continue

        assert echo is None or echo.token in SECRETS.values


# Requests that were nearly right.

PRINTABLE = string.ascii_letters + string.digits + string.punctuation


@every_vendor
@for_each(place=range(len(SECRET)), change=["other", "cut", "doubled", "other case"])
def test_a_secret_with_one_character_changed_is_refused(name: str, place: int, change: str) -> None:
    character = SECRET[place]
    swapped = character.swapcase() if character.isalpha() else "~"
    changes = {"other": "~", "cut": "", "doubled": character * 2, "other case": swapped}
    nearly = SECRET[:place] + changes[change] + SECRET[place + 1 :]

    request = VENDORS[name].sign(SAMPLES[name][0], nearly).as_received()

    with pytest.raises(Unauthenticated):
        VENDORS[name].authenticate(request, SECRETS)


@settings(max_examples=4 * settings().max_examples)
@given(nearly=st.text(PRINTABLE, min_size=1, max_size=20))
def test_no_other_secret_is_let_in(nearly: str) -> None:
    assume(nearly not in SECRETS.values)

    for name, vendor in VENDORS.items():
        note(name)
        request = vendor.sign(SAMPLES[name][0], nearly).as_received()

        with pytest.raises(Unauthenticated):
            vendor.authenticate(request, SECRETS)


def signed_body(body: bytes, signature: str) -> Request:
    return Request(body=body, headers={"x-acquire-signature": signature})


BODY = b'{"event":"case:status","data":{"caseId":"72","fields":{},"seen":1.5,"n":[1,null]}}'


@for_each(place=range(len(BODY)), change=[1, 2, 32, 128, 255])
def test_a_signed_body_with_one_byte_changed_is_refused(place: int, change: int) -> None:
    forged = bytearray(BODY)
    forged[place] ^= change

    request = signed_body(bytes(forged), signature_of(BODY, SECRET))

    with pytest.raises(Unauthenticated):
        VENDORS["acquire"].authenticate(request, SECRETS)


@given(data=st.data())
def test_a_signed_sample_with_one_byte_changed_is_refused(data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SAMPLES["acquire"]))
    place = data.draw(st.integers(0, len(sample) - 1))
    start, end = sample[:place], sample[place + 1 :]
    forged = start + data.draw(st.binary(max_size=2)) + end
    assume(forged != sample)

    request = signed_body(forged, signature_of(sample, SECRET))

    with pytest.raises(Unauthenticated):
        VENDORS["acquire"].authenticate(request, SECRETS)


@for_each(place=range(64))
def test_a_signature_with_one_digit_changed_is_refused(place: int) -> None:
    signature = signature_of(BODY, SECRET)
    others = set(string.hexdigits.lower()) - {signature[place]}

    for digit in sorted(others | {"", "g", "\xff", signature[place] * 2}):
        forged = signature[:place] + digit + signature[place + 1 :]
        with pytest.raises(Unauthenticated):
            VENDORS["acquire"].authenticate(signed_body(BODY, forged), SECRETS)
