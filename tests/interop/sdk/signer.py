"""Signs and checks with senders' Python libraries: a line of JSON in, a line of JSON out.

In: `act` (sign or check), `sender`, `secret`, `url`, `method`, `headers`, `body`. Out: `headers`,
or `valid`; `error` if the library raised. Run with `-I -S`, so that it can import nothing of .venv
or of the relay; the argument is the folder of the libraries.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

sys.path.insert(0, sys.argv[1])

import rsa
from hubspot.utils.signature import Signature
from nacl.signing import SigningKey
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Asked = dict[str, Any]


class Fields:
    """A form as the library of Twilio takes it from a web framework."""

    def __init__(self, text: str) -> None:
        self._values = parse_qs(text, keep_blank_values=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def getlist(self, name: str) -> list[str]:
        return self._values[name]


def sign_slack(request: Asked) -> dict[str, str]:
    moment = str(int(time.time()))
    verifier = SignatureVerifier(request["secret"])
    signature = verifier.generate_signature(timestamp=moment, body=request["body"])
    return {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": signature}


def check_slack(request: Asked) -> bool:
    verifier = SignatureVerifier(request["secret"])
    return verifier.is_valid_request(request["body"], request["headers"])


def sign_twilio(request: Asked) -> dict[str, str]:
    params = {} if "bodySHA256=" in request["url"] else Fields(request["body"])
    signature = RequestValidator(request["secret"]).compute_signature(request["url"], params)
    return {"X-Twilio-Signature": signature}


def check_twilio(request: Asked) -> bool:
    body = request["body"]
    params = body if "bodySHA256=" in request["url"] else Fields(body)
    signature = request["headers"]["x-twilio-signature"]
    return RequestValidator(request["secret"]).validate(request["url"], params, signature)


def hubspot_signature(request: Asked, version: str, moment: str | None = None) -> str:
    return Signature.get_signature(
        request["secret"], request["body"], version, request["url"], request["method"], moment
    )


def sign_hubspot(request: Asked) -> dict[str, str]:
    moment = str(time.time_ns() // 1_000_000)
    return {
        "X-HubSpot-Signature-v3": hubspot_signature(request, "v3", moment),
        "X-HubSpot-Request-Timestamp": moment,
    }


def older_hubspot(version: str) -> Callable[[Asked], dict[str, str]]:
    def sign(request: Asked) -> dict[str, str]:
        signature = hubspot_signature(request, version)
        return {"X-HubSpot-Signature": signature, "X-HubSpot-Signature-Version": version}

    return sign


def checked_hubspot(version: str, header: str) -> Callable[[Asked], bool]:
    def check(request: Asked) -> bool:
        headers = request["headers"]
        return Signature.is_valid(
            headers[header],
            request["secret"],
            request["body"],
            request["url"],
            request["method"],
            version,
            headers.get("x-hubspot-request-timestamp"),
        )

    return check


def sign_discord(request: Asked) -> dict[str, str]:
    moment = str(int(time.time()))
    key = SigningKey(bytes.fromhex(request["secret"]))
    signature = key.sign(f"{moment}{request['body']}".encode()).signature.hex()
    return {"X-Signature-Ed25519": signature, "X-Signature-Timestamp": moment}


def sign_freshchat(request: Asked) -> dict[str, str]:
    key = rsa.PrivateKey.load_pkcs1(request["secret"].encode())
    signature = rsa.sign(request["body"].encode(), key, "SHA-256")
    return {"X-Freshchat-Signature": base64.b64encode(signature).decode()}


ACTS = {
    "sign": {
        "discord": sign_discord,
        "freshchat": sign_freshchat,
        "hubspot": sign_hubspot,
        "hubspot-v1": older_hubspot("v1"),
        "hubspot-v2": older_hubspot("v2"),
        "slack": sign_slack,
        "twilio": sign_twilio,
    },
    "check": {
        "hubspot": checked_hubspot("v3", "x-hubspot-signature-v3"),
        "hubspot-v1": checked_hubspot("v1", "x-hubspot-signature"),
        "hubspot-v2": checked_hubspot("v2", "x-hubspot-signature"),
        "slack": check_slack,
        "twilio": check_twilio,
    },
}


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        act = ACTS[request["act"]][request["sender"]]
        try:
            result = act(request)
            answer = {"headers": result} if request["act"] == "sign" else {"valid": result}
        except Exception as error:  # noqa: BLE001  what a library raises says that it refuses
            answer = {"valid": False, "error": repr(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
