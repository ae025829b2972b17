"""What `relay init` writes passes `relay check`, and lets the vendor in."""

import json
import stat
from pathlib import Path

import pytest

from relay import vendors
from relay.configured import sources_of
from relay.errors import Unauthenticated
from relay.settings import load
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.cli.new_settings import (
    ALL,
    HOOKS,
    MADE_ELSEWHERE,
    entered,
    files_in,
    flags,
    folder_in,
    text_of,
)
from tests.support.relay_command import RelayCommand


@pytest.mark.parametrize(("vendor", "preset"), ALL)
async def test_what_is_written_passes_the_check(
    relay: RelayCommand, config: Path, tmp_path: Path, vendor: str, preset: str
) -> None:
    result = await relay("init", *flags(tmp_path, vendor, preset))

    assert result.code == 0, result.err
    checked = await relay("check", "--offline")
    assert (checked.code, checked.err) == (0, "")
    assert "sources: acme-1" in checked.out
    assert entered(result.out)["url"].startswith(f"{HOOKS}/in/acme-1")
    assert entered(result.out)["how"] == vendors.setup_of(vendor, preset).enter
    for name, mode, content in files_in(tmp_path / "secrets"):
        assert mode == 0o600, name
        assert content.strip().decode() not in result.out + text_of(config)
    if (tmp_path / "secrets").exists():
        assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("vendor", "preset"), [pair for pair in ALL if not {*pair} & MADE_ELSEWHERE]
)
async def test_who_has_the_secret_is_let_in_and_nobody_else(
    relay: RelayCommand, config: Path, tmp_path: Path, vendor: str, preset: str
) -> None:
    await relay("init", *flags(tmp_path, vendor, preset))

    source = sources_of(load(config))["acme-1"]
    secret, body = source.secrets.values[0], b'{"events": []}'
    if "msgraph" in (vendor, preset):  # its token is in the body, wherever there is an element
        body = json.dumps({"value": [{"clientState": secret}]}).encode()
    sent = vendors.sign(source.vendor, body, secret, 1_700_000_000)
    request = Request(
        body=sent.body,
        headers={name.lower(): value for name, value in sent.headers.items()},
        query_string="&".join(f"{name}={value}" for name, value in sent.query.items()),
        path_secret=sent.path_secret,
        url=f"{HOOKS}/in/acme-1",
        received_at=1_700_000_000.0,
    )
    source.vendor.authenticate(request, source.secrets)
    with pytest.raises(Unauthenticated):
        source.vendor.authenticate(request, Secrets(["0" * 64]))


async def test_a_path_that_holds_the_secret_is_told_without_it(
    relay: RelayCommand, tmp_path: Path
) -> None:
    result = await relay("init", *flags(tmp_path, "pickyassist"), "--json")

    told = json.loads(result.out)
    assert told["enter"]["url"] == f"{HOOKS}/in/acme-1/SECRET"
    assert told["enter"]["secret"] == f"what {tmp_path}/secrets/acme-1 holds"
    assert told["written"] == [f"{tmp_path}/relay.toml", f"{tmp_path}/secrets/acme-1"]
    assert told["next"][0].startswith("relay check")


@pytest.mark.parametrize(("vendor", "preset"), [("meta", ""), ("generic", "meta")])
async def test_a_verify_token_is_a_second_secret(
    relay: RelayCommand, config: Path, tmp_path: Path, vendor: str, preset: str
) -> None:
    result = await relay("init", *flags(tmp_path, vendor, preset))

    names = [name for name, *_ in files_in(tmp_path / "secrets")]
    assert names == ["acme-1", "acme-1.verify-token"]
    assert entered(result.out)["verify token"].endswith("acme-1.verify-token holds")
    source = sources_of(load(config))["acme-1"]
    token = (tmp_path / "secrets/acme-1.verify-token").read_text().strip()
    query = f"hub.mode=subscribe&hub.verify_token={token}&hub.challenge=123"
    asked = Request(body=b"", method="GET", query_string=query)
    answer = vendors.answer(source.vendor, asked, source.secrets)
    assert answer
    assert answer.body == b"123"


async def test_a_secret_that_only_the_vendor_has_may_follow_later(
    relay: RelayCommand, tmp_path: Path
) -> None:
    result = await relay("init", "--yes", "--vendor", "channeltalk")

    said = entered(result.out)["secret"]
    assert said.startswith(f"put what the vendor shows into {tmp_path}/secrets/channeltalk")


@pytest.mark.parametrize(
    "folder", ['quo"te', "back\\slash", "caf\u00e9 \U0001f600", "del\x7f", "a'b #"]
)
async def test_any_folder_will_do(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    relay = RelayCommand(tmp_path / folder / "relay.toml")

    result = await relay("init", "--yes", "--vendor", "swiftsell")

    assert result.code == 0, result.err
    assert (await relay("check", "--offline")).code == 0
    settings = load(tmp_path / folder / "relay.toml")
    assert settings.outbox.directory == tmp_path / folder / "var/outbox"


async def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    folder = folder_in(tmp_path, b"\xff")

    result = await RelayCommand(folder / "relay.toml")("init", "--yes", "--vendor", "swiftsell")

    assert (result.code, result.err) == (
        1,
        "relay: A path here is not UTF-8; take another directory.\n",
    )
    assert [*files_in(folder)] == []
