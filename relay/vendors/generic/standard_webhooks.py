"""Standard Webhooks: an HMAC (`v1`) or a signature with a public key (`v1a`). Pure.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

The library of that name reads the clock, knows no `v1a`, takes times with signs, spaces and
exponents, and fails on a body that is not UTF-8. So the rules here do it; tests hold them against
the library.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.errors import Unauthenticated
from relay.vendors.generic.keys import WHPK
from relay.vendors.generic.signatures import SignatureRule
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import OutgoingRequest, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardWebhooksRule:
    """Secrets that begin with `whpk_` are public keys, all others are shared.

    Args:
        shared: the rule of `v1`.
        public: the rule of `v1a`.
    """

    shared: SignatureRule
    public: SignatureRule

    @property
    def signed_headers(self) -> frozenset[str]:
        """Return the names of the headers that are signed."""
        return self.shared.signed_headers

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """Raise ValueError unless each is a key."""
        self.shared.check_secrets([one for one in secrets if not one.startswith(WHPK)])
        self.public.check_secrets([one for one in secrets if one.startswith(WHPK)])

    def verify(self, request: Request, secrets: Secrets) -> str:
        """Return the secret that the request was signed with.

        Raises:
            Unauthenticated: with none of them, or too long ago.
        """
        keys = [secret for secret in secrets.values if secret.startswith(WHPK)]
        if not keys:
            return self.shared.verify(request, secrets)
        others = [secret for secret in secrets.values if not secret.startswith(WHPK)]
        if others:
            try:
                return self.shared.verify(request, Secrets(others))
            except Unauthenticated:
                pass  # it may be signed with one of the others
        return self.public.verify(request, Secrets(keys))

    def sign(self, request: OutgoingRequest, secret: str, now: float) -> OutgoingRequest:
        """Return a request with its signature.

        Raises:
            ValueError: only the sender has the private key.
        """
        rule = self.public if secret.startswith(WHPK) else self.shared
        return rule.sign(request, secret, now)
