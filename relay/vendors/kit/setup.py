"""What a person enters at a vendor, and what the settings need, to connect a source. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

URL, VERIFY_TOKEN = "{url}", "{verify_token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a source is connected, as `relay init` says it.

    Args:
        enter: what to enter where, in whole sentences.
        is_copied: whether the vendor makes the secret; else we make one up for it.
        path: what follows the source's name in the URL; `{secret}` stands for the secret.
        has_verify_token: whether a second secret is made up, with which the vendor asks whether
            the URL is ours. It is one of `secrets`, unless options say where it goes.
        options: settings of the source that this vendor needs. `{url}` in a text stands for the
            source's public URL, and `{verify_token}` for where the second secret is.
    """

    enter: str = "Enter the URL and the secret where the vendor's documentation says."
    is_copied: bool = False
    path: str = ""
    has_verify_token: bool = False
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def needs_url(self) -> bool:
        """Return whether the vendor signs its URL, so that the settings must have it."""
        return any(URL in table.values() for table in self.options.values())

    def filled(self, values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the options with values instead of what stands for them."""
        return {
            name: {key: values.get(value, value) for key, value in table.items()}
            for name, table in self.options.items()
        }
