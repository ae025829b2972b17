"""Any sender, by settings: how it signs, what it asks, what its events say. Pure.

A source with `vendor = "generic"`, or with the name of a preset, has the tables `verify`,
`challenge` and `event`. What they say is read once, at start, into a ConfiguredSender.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from relay.errors import SettingsError
from relay.vendors.generic.challenges import CHALLENGES, OF_TOKENS, WITH_TOKEN, Challenge
from relay.vendors.generic.configured import ConfiguredSender
from relay.vendors.generic.option_schemas import OPTION_SCHEMAS
from relay.vendors.generic.options import OptionTable, Problems
from relay.vendors.generic.presets import PRESETS, Preset
from relay.vendors.generic.received import EventRule, Places, parse_places
from relay.vendors.generic.setups import ANY_SENDER, PRESET_SETUPS
from relay.vendors.generic.signatures import SignatureRule
from relay.vendors.generic.tokens import TokenRule
from relay.vendors.generic.verify import Rule, read_rule

__all__ = [
    "ABOUT",
    "NAMES",
    "OPTIONS",
    "OPTION_SCHEMAS",
    "SECRET_OPTIONS",
    "SETUPS",
    "configure",
    "presets_of",
]

_NAME = "generic"
NAMES = (_NAME, *sorted(PRESETS))
ABOUT = {
    _NAME: "Any sender, by settings.",
    **{name: f"A sender by settings: {preset.source}" for name, preset in PRESETS.items()},
}
SETUPS = {_NAME: ANY_SENDER, **PRESET_SETUPS}
OPTIONS = ("preset", "verify", "challenge", "event")
SECRET_OPTIONS = (("challenge", "token"),)

_NO_PRESET = Preset(source="", verify={})


def configure(
    name: str, options: Mapping[str, Any], secrets: Sequence[str]
) -> tuple[str, ConfiguredSender]:
    """Return what a source's events call their vendor, and the sender itself.

    Args:
        name: one of NAMES.
        options: those of OPTIONS that the settings have; secrets among them are resolved.
        secrets: the live ones; empty for a source that lets everyone in.

    Raises:
        SettingsError: with one sentence per problem, without its full stop.
    """
    problems: Problems = []
    vendor, preset = _preset(name, options, problems)
    rule = None
    if secrets or _table(preset.verify, options.get("verify")):
        table = OptionTable("verify", _verify_options(preset, options, problems), problems)
        rule = read_rule(table)
    sender = ConfiguredSender(
        rule=rule,
        challenge=_challenge(preset, options, rule, problems),
        event=_event(preset, options, rule, problems),
    )
    if rule:
        try:
            rule.check_secrets(secrets)
        except ValueError as error:
            problems.append(f"secrets: {error}")
    if problems:
        raise SettingsError(problems)
    return vendor, sender


def presets_of(name: str) -> Sequence[str]:
    """Return what `preset` may say where `vendor` is one of NAMES."""
    return sorted(PRESETS) if name == _NAME else ()


def _preset(name: str, options: Mapping[str, Any], problems: Problems) -> tuple[str, Preset]:
    wanted = options.get("preset")
    if name != _NAME and wanted not in (None, name):
        problems.append(f'preset: vendor = "{name}" names another one; remove it')
    wanted = name if name != _NAME else wanted
    if wanted is None:
        return _NAME, _NO_PRESET
    if type(wanted) is not str or wanted not in PRESETS:
        raise SettingsError([f"preset: {wanted!r} is none of {', '.join(sorted(PRESETS))}"])
    return wanted, PRESETS[wanted]


def _table(preset: Mapping[str, Any], given: object) -> object:
    """Return a preset's table, overridden by the settings; theirs alone if of another kind."""
    if given is None:
        return preset
    if not isinstance(given, Mapping) or given.get("kind") not in (None, preset.get("kind")):
        return given
    return {**preset, **given}


def _verify_options(preset: Preset, options: Mapping[str, Any], problems: Problems) -> object:
    found = _table(preset.verify, options.get("verify"))
    if not found:
        problems.append("verify: it is missing; say how the sender proves who it is, or set preset")
        return {"kind": "token", "bearer": True}
    return found


def _challenge(
    preset: Preset, options: Mapping[str, Any], rule: Rule | None, problems: Problems
) -> Challenge:
    given = options.get("challenge")
    if isinstance(given, str):
        given = {"kind": given}
    table = OptionTable("challenge", _table(preset.challenge, given), problems)
    kind = table.choice("kind", CHALLENGES, "none")
    tokens = table.texts("token")
    if tokens and kind not in WITH_TOKEN:
        table.problem("token", f"it is for {', '.join(WITH_TOKEN)} alone; remove it")
    if rule and kind in OF_TOKENS and not isinstance(rule, TokenRule):
        table.problem("kind", f'{kind} needs verify.kind = "token"')
    if rule and kind in ("crc", "zoom") and not isinstance(rule, SignatureRule):
        table.problem("kind", f'{kind} needs verify.kind = "hmac"')
    table.refuse_others()
    return Challenge(kind=kind, tokens=tokens)


def _event(
    preset: Preset, options: Mapping[str, Any], rule: Rule | None, problems: Problems
) -> EventRule:
    table = OptionTable("event", _table(preset.event, options.get("event")), problems)
    event = EventRule(
        type=_places(table, "type", rule),
        id=_places(table, "id", rule),
        time=_places(table, "time", rule),
        conversation=_places(table, "conversation", rule),
    )
    table.refuse_others()
    return event


def _places(table: OptionTable, key: str, rule: Rule | None) -> Places:
    try:
        places = parse_places(table.texts(key))
    except ValueError as error:
        table.problem(key, str(error))
        return ()
    if rule is None or isinstance(rule, TokenRule):
        return places  # whoever has the token is believed as a whole
    headers = EventRule(type=places).headers - rule.signed_headers
    for header in sorted(headers):
        table.problem(key, f"nothing signs the header {header}, so anyone can change it")
    return places
