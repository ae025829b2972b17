"""A whole run, then a search of all it put out: no secret, in no spelling, is anywhere."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
from yarl import URL

from relay import vendors
from relay.events.redaction import holds_secret
from relay.vendors.kit.request import OutgoingRequest
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess

BROKER_PASSWORD = "brokerpass-5f1c/77"
NAMES = tuple(vendors.discover())
SECRETS = {name: (f"new-secret/{name} x", f"old-secret+{name}") for name in NAMES}
LATE = "secret-of-a-bad-section"
ALL_SECRETS = [BROKER_PASSWORD, LATE, *[secret for both in SECRETS.values() for secret in both]]

COMMANDS = (
    ("check",),
    ("check", "--json"),
    ("topology", "--json"),
    ("outbox", "--json"),
    ("quarantine", "list"),
    ("quarantine", "list", "--json"),
    ("inspect", "swiftsell", str(vendors.samples("swiftsell")[0])),
)


def signed(name: str) -> Iterator[OutgoingRequest]:
    """Every sample as the vendor sends it, with each secret in turn."""
    for secret in SECRETS[name]:
        for sample in vendors.samples(name):
            vendor = vendors.discover()[name]
            yield vendors.sign(vendor, sample.read_bytes(), secret, time.time())


def misplaced(name: str) -> Iterator[OutgoingRequest]:
    """Deliveries with a secret where no vendor puts it: most are refused, some are quarantined."""
    for secret in SECRETS[name]:
        encoded = quote(secret)
        for body in (
            f"{{broken {secret}",
            f'{{"token": "{secret}", "odd": [}}',
            f'{{"token": "{secret}"}}',
            f'{{"{secret}": 1}}',
            f"token={encoded}&odd=1",
            encoded,
        ):
            yield OutgoingRequest(body=body.encode())
            yield OutgoingRequest(body=body.encode(), query={"token": secret, encoded: "1"})
            yield OutgoingRequest(body=body.encode(), path_secret=secret)
            yield OutgoingRequest(
                body=body.encode(),
                headers={
                    "Authorization": encoded,
                    "Content-Type": f"text/{encoded}",
                    f"X-{name}": encoded,
                    "User-Agent": encoded,
                    "traceparent": encoded,
                },
            )


async def answer_to(
    http: aiohttp.ClientSession, base: str, name: str, call: OutgoingRequest
) -> str:
    """Post a delivery; return the answer, or nothing where call may have read a token back."""
    path = f"/in/{name}" + (f"/{quote(call.path_secret, safe='')}" if call.path_secret else "")
    url = URL(base + path, encoded=True).update_query(call.query)
    async with http.post(url, data=call.body, headers=call.headers) as answer:
        text = await answer.text()
        is_ours_alone = '"status"' in text and '"token"' not in text
        return f"{answer.raw_headers!r} {text}" if is_ours_alone else ""


def published(recorder: Recorder) -> str:
    """Return all of all messages."""
    return "\n".join(
        f"{message.routing_key} {message.info()} {message.body.decode(errors='replace')}"
        for message in [*recorder.messages, *recorder.quarantined]
    )


def written(directory: Path) -> str:
    """Return all bytes of all files, whose deleted rows may still be there."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    return "\n".join(file.read_bytes().decode(errors="replace") for file in files)


async def test_nothing_a_run_puts_out_holds_a_secret(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    unreachable = f"amqp://relay:{quote(BROKER_PASSWORD, safe='')}@127.0.0.1:1/"
    relay = RelayProcess(
        tmp_path,
        broker_url=broker_url,
        exchange=exchange,
        vendors=NAMES,
        broker={"urls": [unreachable, broker_url]},
        log={"level": "debug"},
        **{f"sources__{name}": {"secrets": list(SECRETS[name])} for name in NAMES},
    )
    command = RelayCommand(tmp_path / "relay.toml")
    outputs: dict[str, str] = {}

    async with relay, aiohttp.ClientSession() as http:
        calls = [(name, call) for name in NAMES for call in [*signed(name), *misplaced(name)]]
        answers = [await answer_to(http, relay.url, name, call) for name, call in calls]
        outputs["answers"] = "\n".join(answers)
        for path in ("livez", "readyz", "metrics"):
            async with http.get(f"{relay.admin_url}/{path}") as page:
                outputs[path] = await page.text()
        await eventually(relay.is_drained)
        await eventually(lambda: len(relay.lines("delivery")) == len(calls))
        outputs["messages"] = published(recorder)
        for arguments in COMMANDS:
            done = await command(*arguments)
            outputs[" ".join(arguments)] = done.out + done.err
        sent = await command("send", "all", "--all", "--handshake", "--url", relay.url)
        outputs["send"] = sent.out + sent.err
        relay.write_config(relay.sections | {"sources.late": {"vendor": "none", "secrets": [LATE]}})
        relay.signal(signal.SIGHUP)
        await eventually(lambda: relay.lines("reload failed"))
    outputs["log"] = (tmp_path / "relay.log").read_text()
    outputs["outbox"] = written(tmp_path / "outbox")

    assert len(recorder.messages) > 50
    assert len(recorder.quarantined) > 50
    assert "127.0.0.1:1 can't be reached" in outputs["log"]
    assert [name for name, text in outputs.items() if holds_secret(text, ALL_SECRETS)] == []
