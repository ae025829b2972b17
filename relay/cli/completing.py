"""Names out of the settings for completion in a shell.

The file is read as it stands: what is wrong with it, or a secret that only the relay may read, must
not keep a name from being completed. Nothing is printed, since the shell would take it for a name.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from relay import vendors
from relay.events.event import TYPES
from relay.settings_file import DEFAULT_FILE, PREFIX, read_text
from relay.vendors.kit.fields import mapping

_PLAIN = re.compile(r"[A-Za-z0-9_.*#-]+")
"""What no shell takes for more than a name."""
_GROUPS = {"forward": "endpoints", "notify": "rules"}
"""Services with a queue for each of these, named after both."""


def complete_source(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the name of a source."""
    return _beginning_with(typed, _section(ctx, "sources"))


def complete_source_or_all(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the name of a source, or `all`."""
    return _beginning_with(typed, {**_section(ctx, "sources"), "all": None})


def complete_service(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the name of a service, which is that of its queue."""
    return _beginning_with(typed, queues_of_services(_section(ctx, "consumers")))


def complete_vendor(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the name of a vendor."""
    return _beginning_with(typed, vendors.names())


def queues_of_services(consumers: Mapping[str, Any]) -> list[str]:
    """Return the queues of the services that the section `consumers` names."""
    names: list[str] = []
    for name, settings in consumers.items():
        if name in _GROUPS:
            names += [f"{name}-{part}" for part in mapping(mapping(settings).get(_GROUPS[name]))]
        else:
            names.append(str(mapping(settings).get("queue") or name))
    return names


def complete_type(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the type of an event."""
    return _beginning_with(typed, TYPES)


def complete_pattern(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete a pattern of routing keys: those of a type, of any vendor or of a configured one."""
    used = {mapping(source).get("vendor") for source in _section(ctx, "sources").values()}
    words = ["*", *sorted(word for word in used if isinstance(word, str))]
    return _beginning_with(typed, [f"{word}.{kind}.#" for word in words for kind in sorted(TYPES)])


def _section(ctx: click.Context, name: str) -> dict[str, Any]:
    """Return the members of a section, those that only the environment has included."""
    given = ctx.params.get("config") or os.environ.get("RELAY_CONFIG") or DEFAULT_FILE
    try:
        members = dict(mapping(tomllib.loads(read_text(Path(given))).get(name)))
    except (OSError, ValueError):  # TOMLDecodeError is one, too
        members = {}
    prefix = f"{PREFIX}{name.upper()}__"
    for variable in os.environ:
        if variable.startswith(prefix):
            members.setdefault(variable.removeprefix(prefix).lower().partition("__")[0], {})
    return members


def _beginning_with(typed: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(typed) and _PLAIN.fullmatch(name)]
