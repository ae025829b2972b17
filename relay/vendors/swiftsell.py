"""Swiftsell, a WotNot platform under its own name.

https://docs.swiftsell.biz/integrations/events
"""

from relay.vendors._wotnot import ECHOES, TYPES, authenticate, handshake, normalize, sign

__all__ = ["ECHOES", "TYPES", "authenticate", "handshake", "normalize", "sign"]
