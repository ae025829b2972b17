"""`relay vendors`: the vendors whose webhooks the relay understands."""

import click

from relay import vendors
from relay.cli.main import json_option
from relay.cli.output import show_json, show_table
from relay.vendors import Vendor


@click.command("vendors")
@json_option
def command(*, as_json: bool) -> None:
    """List the vendors whose webhooks the relay understands."""
    found = [_describe(name, vendor) for name, vendor in vendors.discover().items()]
    known = {vendor["name"] for vendor in found}
    found += [
        {"name": name, "about": makes.ABOUT[name], "samples": 0, "handshake": False}
        for name, makes in vendors.configurable().items()
        if name not in known
    ]
    if as_json:
        show_json(found)
    else:
        show_table(
            ("Vendor", "Samples", "Handshake", "What"),
            [
                (
                    vendor["name"],
                    vendor["samples"],
                    "handshake" if vendor["handshake"] else "",
                    vendor["about"],
                )
                for vendor in found
            ],
        )


def _describe(name: str, vendor: Vendor) -> dict[str, object]:
    return {
        "name": name,
        "about": (vendor.__doc__ or "").strip().partition("\n")[0],
        "samples": len(vendors.samples(name)),
        "handshake": vendors.handshake(vendor, "secret") is not None,
    }
