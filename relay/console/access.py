"""Who may see what: roles, tokens, sessions, and what a proxy says about its users."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from relay.ingress.client_address import Network, is_within

_MAX_SESSIONS = 1000
_SESSION_S = 12 * 3600
_MAX_FAILURES, _FAILURES_WITHIN_S = 20, 60.0
"""Guesses at a token, by all callers together: tokens are long, so this is but a brake."""
_MAX_NAME_CHARACTERS = 100


class Role(IntEnum):
    """What somebody may do; each includes the ones before."""

    VIEWER = 1
    """Sees counts, ids and states, and no body."""
    READER = 2
    """Sees bodies, with names, texts and addresses masked."""
    OPERATOR = 3
    """Sees all on request, and may release, retry and drop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who is asking.

    Args:
        name: for the log.
        role: what they may do.
        form_token: each form must bring it back.
    """

    name: str
    role: Role
    form_token: str

    @property
    def can_read(self) -> bool:
        """Whether bodies may be shown, masked."""
        return self.role >= Role.READER

    @property
    def can_act(self) -> bool:
        """Whether they may act, and see bodies as they are."""
        return self.role >= Role.OPERATOR


class Access:
    """Decides who somebody is.

    Args:
        tokens: by role; with none, and no proxies, everyone who gets here is an operator.
        proxies: whose X-Forwarded-User and X-Forwarded-Groups are believed.
    """

    def __init__(
        self, *, tokens: Mapping[Role, Sequence[str]], proxies: Sequence[Network] = ()
    ) -> None:
        self._tokens = [(role, token.encode()) for role, of in tokens.items() for token in of]
        self._proxies = proxies
        self._key = secrets.token_bytes(32)
        self._sessions: OrderedDict[str, tuple[Visitor, float]] = OrderedDict()
        self._failures: deque[float] = deque(maxlen=_MAX_FAILURES)

    @property
    def is_open(self) -> bool:
        """Whether nobody has to say who they are."""
        return not self._tokens and not self._proxies

    @property
    def has_tokens(self) -> bool:
        """Whether one can log in."""
        return bool(self._tokens)

    def visitor(self, *, remote: str, headers: Mapping[str, str], session: str) -> Visitor | None:
        """Return who is asking; None if they have to log in."""
        if self.is_open:
            return self._visitor("local", Role.OPERATOR, "local")
        if is_within(remote, self._proxies) and (user := headers.get("X-Forwarded-User")):
            role = _role_of(headers.get("X-Forwarded-Groups", ""))
            return self._visitor(user[:_MAX_NAME_CHARACTERS], role, user) if role else None
        kind, _, token = headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and (role := self._role(token.strip())):
            return self._visitor(f"{role.name.lower()} token", role, token)
        found, until = self._sessions.get(session, (None, 0.0))
        return found if until > time.monotonic() else None

    def log_in(self, token: str) -> str | None:
        """Return a new session; None if the token is wrong, or too many were."""
        now = time.monotonic()
        is_full = len(self._failures) == _MAX_FAILURES
        if is_full and now - self._failures[0] < _FAILURES_WITHIN_S:
            return None
        role = self._role(token)
        if role is None:
            self._failures.append(now)
            return None
        session = secrets.token_urlsafe(32)
        visitor = self._visitor(f"{role.name.lower()} token", role, session)
        self._sessions[session] = (visitor, now + _SESSION_S)
        while len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def log_out(self, session: str) -> None:
        """End a session."""
        self._sessions.pop(session, None)

    def _role(self, token: str) -> Role | None:
        """Return the highest role of a token. All are compared, each in constant time."""
        given = token.encode(errors="surrogateescape")
        roles = [role for role, known in self._tokens if hmac.compare_digest(known, given)]
        return max(roles, default=None)

    def _visitor(self, name: str, role: Role, secret: str) -> Visitor:
        digest = hmac.new(self._key, secret.encode(errors="replace"), hashlib.sha256)
        return Visitor(name=name, role=role, form_token=digest.hexdigest())


def _role_of(groups: str) -> Role | None:
    """Return the role that a proxy's groups give: `relay-viewer`, `-reader`, `-operator`."""
    given = {group.strip().lower() for group in groups.split(",")}
    roles = [role for role in Role if f"relay-{role.name.lower()}" in given]
    return max(roles, default=None)
