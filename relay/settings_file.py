"""Reading settings: one TOML file, overridden by the environment; all problems reported at once.

The sections are elsewhere: those of the relay in settings.py, those of a service in consumers/.
"""

import codecs
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar, cast

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from relay.errors import SettingsError, words_of

PREFIX = "RELAY_"
DEFAULT_FILE = "relay.toml"
_BYTE_ORDER_MARK = "\ufeff"
_NOT_SETTINGS = {"RELAY_CONFIG"}
_SERVICE_LINK = re.compile(
    r"RELAY_(?:\w+_)?"
    r"(?:SERVICE_(?:HOST|PORT(?:_\w+)?)=.*|PORT=\w+://.*|PORT_\d+_[A-Z]+(?:_PROTO|_PORT|_ADDR)?=.*)",
    re.DOTALL,
)
"""Kubernetes sets such variables for a Service named `relay` or `relay-*` in each container.
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables"""


def listed(value: object) -> object:
    """Read a list from one environment variable: JSON, or parts separated by commas."""
    if not isinstance(value, str):
        return value
    value = value.removeprefix(_BYTE_ORDER_MARK)
    if value.lstrip().startswith("["):
        return orjson.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


Strings = Annotated[list[str], BeforeValidator(listed)]


class Section(BaseModel):
    """One section. Unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # it may be a secret
    )


class File(BaseSettings):
    """The settings of a TOML file and the environment. A subclass has the sections; see load_as."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        enable_decoding=False,  # lists are read by listed
        hide_input_in_errors=True,  # it may be a secret
    )
    file: ClassVar[Path | None] = None

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # pydantic passes them by name
        cls,
        settings_cls: type[BaseSettings],
        *,
        env_settings: PydanticBaseSettingsSource,
        **_: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then the file."""
        in_file = tomllib.loads(read_text(cls.file)) if cls.file else {}
        return env_settings, InitSettingsSource(settings_cls, in_file)


FileT = TypeVar("FileT", bound=File)


def load_as(kind: type[FileT], path: Path | None = None) -> FileT:
    """Read the sections of kind from path, or RELAY_CONFIG, or relay.toml if it is there.

    Raises:
        SettingsError: with one sentence per problem.
    """
    file = _find(path)
    # A subclass per load, since pydantic-settings takes the file from the class.
    bound = cast("type[FileT]", type(kind.__name__, (kind,), {"file": file}))
    problems = list(_unknown_variables(os.environ, kind))
    try:
        settings = bound()
    except ValidationError as error:
        raise SettingsError([*problems, *sentences(error)]) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([*problems, f"{file} is not TOML: {error}."]) from error
    except (OSError, ValueError) as error:
        raise SettingsError([*problems, f"{file} can't be read: {words_of(error)}."]) from error
    if problems:
        raise SettingsError(problems)
    return settings


def resolve_secrets(secrets: Sequence[str]) -> list[str]:
    """Return the values of secrets: literal, or from `env:NAME` or `file:PATH`.

    Raises:
        ValueError: some are missing, empty or not UTF-8. It names each.
    """
    values, problems = [], []
    for secret in secrets:
        try:
            values.append(_resolve(secret))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return values


def _resolve(secret: str) -> str:
    kind, _, rest = secret.partition(":")
    try:
        match kind:
            case "env":
                value = os.environ[rest].removeprefix(_BYTE_ORDER_MARK).strip()
            case "file":
                value = read_text(Path(rest)).strip()
            case _:
                value = secret.removeprefix(_BYTE_ORDER_MARK)
    except KeyError as error:
        raise ValueError(f"the environment variable {rest} is not set") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"the file {rest} can't be read: {words_of(error)}") from error
    if not value:
        raise ValueError(f"{secret or 'one'} is empty")
    try:
        value.encode()
    except UnicodeEncodeError:  # what the environment holds becomes lone surrogates
        named = f"the environment variable {rest}" if kind == "env" else "one"
        raise ValueError(f"{named} is not UTF-8") from None
    return value


def read_text(file: Path) -> str:
    """Return a file's text without a byte order mark, which editors on Windows put before it.

    Raises:
        OSError: it can't be read.
        ValueError: it is not UTF-8.
    """
    content = file.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise ValueError("it is not UTF-8 but probably UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (at byte {error.start}); save it as UTF-8") from None


def _find(path: Path | None) -> Path | None:
    named = path or (Path(found) if (found := os.environ.get("RELAY_CONFIG")) else None)
    file = named or Path(DEFAULT_FILE)
    try:
        mode = file.stat().st_mode
    except FileNotFoundError as error:
        if named is None:
            return None
        raise SettingsError([f"The settings file {file} does not exist."]) from error
    except OSError as error:  # such as a directory above it that this user may not enter
        raise SettingsError(
            [f"The settings file {file} can't be read: {words_of(error)}."]
        ) from error
    if not stat.S_ISREG(mode):  # pydantic-settings would ignore it
        raise SettingsError([f"The settings file {file} is no regular file."])
    return file


def _unknown_variables(environment: Mapping[str, str], kind: type[File]) -> Iterator[str]:
    """Name the variables that pydantic-settings ignores: those of no section."""
    for name, value in sorted(environment.items()):
        is_service_link = _SERVICE_LINK.fullmatch(f"{name}={value}")
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS and not is_service_link:
            section = name.removeprefix(PREFIX).lower().partition("__")[0]
            if section not in kind.model_fields:
                yield f"{name} is no setting: there is no section {section!r}."


def sentences(error: ValidationError, section: str = "") -> Iterator[str]:
    """Yield a sentence per problem: which setting of section, and what is wrong with it."""
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join([section, *[str(part) for part in _setting_in(problem["loc"])]]).strip(".")
        match problem["type"]:
            case "extra_forbidden":
                yield f"{name} is no setting."
            case "missing":
                yield f"{name} is missing."
            case "model_type" | "dict_type":
                yield f"{name}: it must be a table, such as a section [{name}]."
            case "path_type":
                yield f"{name}: it must be a path, as text."
            case "several":  # each begins with the name of a setting beside this one
                section_name = name.rpartition(".")[0]
                yield from (f"{section_name}.{one}." for one in problem["ctx"]["problems"])
            case _:
                yield f"{name}: {problem['msg'].removeprefix('Value error, ')}."


def _setting_in(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return the setting that a problem is about. A wrong name is reported where it was given."""
    return location[:-2] if location[-1:] == ("[key]",) else location
