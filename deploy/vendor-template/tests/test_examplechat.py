"""The vendor reads its payloads as expected, lets in what it signs, and nothing else."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from relay import vendors
from relay.cli import main
from relay.errors import Malformed, Unauthenticated
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request

HERE = Path(__file__).parent
VENDOR = vendors.discover()["examplechat"]  # as the entry point registers it


def test_the_payloads_become_what_is_expected() -> None:
    words = ["test", str(HERE / "payloads"), "--config", str(HERE / "relay.toml")]

    result = CliRunner().invoke(main, words)

    assert result.exit_code == 0, result.output


def test_what_it_signs_is_let_in_and_nothing_else() -> None:
    body = b'{"event": "said"}'
    signed = VENDOR.sign(body, "new")
    request = Request(body=body, headers={k.lower(): v for k, v in signed.headers.items()})

    VENDOR.authenticate(request, Secrets(["old", "new"]))
    with pytest.raises(Unauthenticated):
        VENDOR.authenticate(request, Secrets(["old"]))
    for changed in range(len(body)):
        other = body[:changed] + bytes([body[changed] ^ 1]) + body[changed + 1 :]
        with pytest.raises(Unauthenticated):
            VENDOR.authenticate(Request(body=other, headers=request.headers), Secrets(["new"]))
    with pytest.raises(Unauthenticated):
        VENDOR.authenticate(Request(body=body), Secrets(["new"]))


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"event": 1}', b"\xff"])
def test_what_it_does_not_know_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        VENDOR.normalize(Request(body=body))
