"""The OpenAPI 3.1 document of the ingress and the admin port. Pure.

https://spec.openapis.org/oas/v3.1.1.html
"""

from collections.abc import Iterable, Sequence

from relay.openapi import admin, ingress
from relay.openapi.ingress import SourcePath
from relay.openapi.operations import Document, refused_tag

_DESCRIPTION = """\
Webhooks in, on the ingress; probes, metrics and what was seen, on the admin port.

Each path names its server. Beyond what stands here, the ingress answers 405 to methods that OpenAPI
does not know, and closes a connection without an answer when a head does not end in time."""


def document(
    *,
    version: str,
    ingress_urls: Sequence[str],
    admin_url: str,
    sources: Iterable[SourcePath],
    methods: Sequence[str],
) -> Document:
    """Return the document.

    Args:
        version: of the relay.
        ingress_urls: where the public listener is reached.
        admin_url: where the admin port is reached.
        sources: the configured endpoints.
        methods: those in which a vendor may ask something.
    """
    public: list[Document] = [{"url": url} for url in ingress_urls]
    private: list[Document] = [{"url": admin_url}]
    other = ingress.unknown_item()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "relay",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": public,
        "tags": [ingress.TAG, admin.TAG, refused_tag()],
        "paths": {
            **ingress.paths(sources, methods),
            **{path: item | {"servers": private} for path, item in admin.paths().items()},
            "/{path}": admin.merge_unknown(other) | {"servers": public + private},
        },
        "components": {
            "schemas": ingress.schemas() | admin.schemas(),
            "responses": ingress.responses() | admin.responses(),
        },
    }
