"""What was answered to `relay init`, made into settings and into words for a person."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from relay import vendors
from relay.cli.setup.new_settings import NewSettings
from relay.cli.setup.readings import GivenSecret, is_reference, made_secret
from relay.errors import SettingsError
from relay.settings_file import DEFAULT_FILE
from relay.vendors.kit.setup import URL, VERIFY_TOKEN, Setup

_OUTBOX = Path("var/outbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """The answers. Paths in what is written are absolute: a relay may be started anywhere.

    Args:
        path: of the settings file, absolute.
        vendor: its name.
        preset: of the vendor; "" for none.
        source: name of the source.
        url: public URL of the source, without a secret.
        secret: the source's.
        is_secret_known: whether the secret is the vendor's; False for one that holds its place.
        broker: URL of RabbitMQ, or where it is kept; "" if only the environment says it.
        is_broker_secret: whether that URL goes into a file of its own.
        verify_token: a second secret, if the vendor has one.
    """

    path: Path
    vendor: str
    preset: str
    source: str
    url: str
    secret: GivenSecret = field(repr=False)
    is_secret_known: bool
    broker: str = field(repr=False)
    is_broker_secret: bool
    verify_token: GivenSecret = field(default_factory=made_secret, repr=False)

    @property
    def _setup(self) -> Setup:
        return vendors.setup_of(self.vendor, self.preset)

    def _file(self, suffix: str = "") -> Path:
        return self.path.parent / "secrets" / f"{self.source}{suffix}"

    @property
    def _broker_file(self) -> Path:
        return self.path.parent / "secrets" / "broker.url"

    def _is_token_an_option(self) -> bool:
        tables = self._setup.options.values()
        return any(VERIFY_TOKEN in table.values() for table in tables)

    def check(self) -> None:
        """Raise SettingsError if the vendor would not take this secret, or lacks something."""
        options: dict[str, object] = {
            **({"preset": self.preset} if self.preset else {}),
            **self._setup.filled({URL: self.url, VERIFY_TOKEN: self.verify_token.value}),
        }
        try:
            vendors.configure(self.vendor, options, [self.secret.value])
        except SettingsError as error:
            problems = [f"sources.{self.source}.{problem}." for problem in error.problems]
            raise SettingsError(problems) from error

    def new_settings(self) -> NewSettings:
        """Return the files to write."""
        files = {}
        references = [self.secret.reference]
        if not references[0]:
            files[self._file()] = self.secret.value
            references = [f"file:{self._file()}"]
        filled = self._setup.filled({URL: self.url, VERIFY_TOKEN: f"file:{self._token_file}"})
        if self._setup.has_verify_token:
            files[self._token_file] = self.verify_token.value
            if not self._is_token_an_option():
                references.append(f"file:{self._token_file}")
        broker = self.broker
        if self.is_broker_secret:
            files[self._broker_file] = broker
            broker = f"file:{self._broker_file}"
        preset = {"preset": self.preset} if self.preset else {}
        return NewSettings(
            broker_url=broker,
            outbox=self.path.parent / _OUTBOX,
            source=self.source,
            section={"vendor": self.vendor, **preset, "secrets": references, **filled},
            secret_files=files,
        )

    @property
    def _token_file(self) -> Path:
        return self._file(".verify-token")

    def entered(self) -> dict[str, str]:
        """Return what to enter at the vendor, by what it is."""
        rows = {
            "url": self.url + self._setup.path.replace("{secret}", "SECRET"),
            "secret": self._about_secret(),
        }
        if self._setup.has_verify_token:
            rows["verify token"] = f"what {self._token_file} holds"
        return rows | {"how": self._setup.enter}

    def _about_secret(self) -> str:
        if self.secret.reference:
            return f"what {self.secret.reference} holds"
        if self.is_secret_known:
            return f"what {self._file()} holds"
        return (
            f"put what the vendor shows into {self._file()}, which holds a random text until then; "
            "a running relay reads it upon SIGHUP"
        )

    def next_commands(self) -> list[str]:
        """Return what to run next."""
        is_found = self.path == Path(DEFAULT_FILE).absolute()
        config = "" if is_found else f" --config {shlex.quote(str(self.path))}"
        commands = [f"relay check --deep{config}", f"relay serve{config}"]
        samples = [] if self.preset else vendors.samples(self.vendor)
        if samples:
            name = samples[0].name.rpartition(".")[0]
            commands.append(f"relay send{config} {self.source} {name}")
        return commands


def needs_file(broker: str, default: str) -> bool:
    """Return whether a broker's URL holds a password that belongs into a file of its own."""
    return not is_reference(broker) and broker not in ("", default)
