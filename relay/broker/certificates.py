"""Why a broker's certificate is not trusted: OpenSSL's words, and what to do."""

import ssl

# https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_EXPIRED = {10}
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OTHER_HOST = {62, 64}
_STRICT = range(79, 95)
"""What only VERIFY_X509_STRICT checks, which Python 3.13 turns on."""


def problem(error: BaseException | None) -> str | None:
    """Return what is wrong with the certificate, if that is what error or its cause says."""
    while error:
        if isinstance(error, ssl.SSLCertVerificationError):
            words = error.verify_message.rstrip(".")
            return f"certificate verify failed: {words}{_advice(error.verify_code)}"
        error = error.__cause__
    return None


def _advice(code: int) -> str:
    if code in _EXPIRED:
        return "; renew the broker's certificate, or that of its authority"
    if code in _UNKNOWN_AUTHORITY:
        return "; name the file of its authority in the URL: ?cafile=ca.pem"
    if code in _OTHER_HOST:
        return "; the host in the URL must be one that the certificate is for"
    if code in _STRICT:
        return (
            "; Python 3.13 and later demand what RFC 5280 does, of the broker's certificate and of "
            "its authority's: issue it anew with what is missing"
        )
    return ""
