"""Support Hunt, a WotNot platform under its own name.

https://help.supporthunt.com/integrations/events
"""

from relay.vendors.parts.wotnot import (
    ECHOES,
    FIELDS,
    SETUP,
    TYPES,
    authenticate,
    handshake,
    normalize,
    sign,
)

__all__ = ["ECHOES", "FIELDS", "SETUP", "TYPES", "authenticate", "handshake", "normalize", "sign"]
