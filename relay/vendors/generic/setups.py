"""How each sender known by name is connected, in the words of RECIPES.md. Pure."""

from typing import Any

from relay.vendors.kit.setup import URL, VERIFY_TOKEN, Setup

_SIGNED_URL = {"verify": {"public_url": URL}}


def _copied(enter: str, **others: Any) -> Setup:
    return Setup(enter=enter, is_copied=True, **others)


ANY_SENDER = Setup(
    enter="At the sender: the URL, whose last part is the secret. Or the URL without it, where the "
    "sender can send the secret as bearer token.",
    path="/{secret}",
    options={"verify": {"kind": "token", "bearer": True, "path": True}},
)

PRESET_SETUPS: dict[str, Setup] = {
    "bitbucket": Setup(
        enter="Repository settings, Webhooks, Add webhook: the URL, and a secret that you make."
    ),
    "chatwoot": _copied("Settings, Integrations, Webhooks: the URL; copy the secret it shows."),
    "cloudevents": Setup(enter="The URL, and the secret as bearer token, or as `?access_token=`."),
    "crisp": _copied("Marketplace, your plugin, Web Hooks: the URL; copy the signing secret."),
    "discord": _copied(
        "Developer Portal, General Information: the URL as Interactions Endpoint; "
        "`secrets` is the Public Key shown there. Needs `[public-keys]`."
    ),
    "freshchat": _copied(
        "Admin, Configure, Webhooks: the URL; `secrets` is the public key shown there, in"
        " a file. Needs `[public-keys]`."
    ),
    "front": _copied(
        "Your application, Features, Webhooks: the URL; copy the application's signing key."
    ),
    "github": Setup(
        enter="Settings, Webhooks, Add webhook: the URL, `application/json`, and a secret that "
        "you make."
    ),
    "gitlab": Setup(enter="Settings, Webhooks: the URL, and the secret token."),
    "helpscout": Setup(enter="Manage, Apps, Webhooks: the URL, and a secret key that you make."),
    "hubspot": _copied(
        "Your app, Webhooks: the URL; `secrets` is the app's client secret.", options=_SIGNED_URL
    ),
    "hubspot-v1": _copied("Your app, Webhooks: the URL; `secrets` is the app's client secret."),
    "hubspot-v2": _copied(
        "The workflow's action Send a webhook: POST, the URL, and as authentication the "
        "signature of your app; `secrets` is its client secret.",
        options=_SIGNED_URL,
    ),
    "intercom": _copied(
        "Developer Hub, your app, Webhooks: the URL and topics; `secrets` is the app's "
        "client secret."
    ),
    "line": _copied(
        "Developers Console, Messaging API: the URL as Webhook URL; `secrets` is the "
        "Channel secret."
    ),
    "livechat": Setup(
        enter="Developer Console, your app, Webhooks: the URL, and a secret key that you make."
    ),
    "meta": _copied(
        "App Dashboard, Webhooks: the URL, and the verify token of `challenge`; `secrets`"
        " is the App Secret.",
        has_verify_token=True,
        options={"challenge": {"token": VERIFY_TOKEN}},
    ),
    "msgraph": Setup(
        enter="Create a subscription over Graph's API: the URL as `notificationUrl`, and a "
        "secret that you make as `clientState`."
    ),
    "mux": _copied("Settings, Webhooks: the URL; copy the signing secret."),
    "paddle": _copied(
        "Developer Tools, Notifications: the URL; copy the secret key of the destination."
    ),
    "pagerduty": _copied(
        "Integrations, Generic Webhooks (v3): the URL; copy the secret that is shown once."
    ),
    "razorpay": Setup(enter="Settings, Webhooks: the URL, and a secret that you make."),
    "rocketchat": Setup(enter="Omnichannel, Webhooks: the URL, and the secret token."),
    "shopify": _copied(
        "Settings, Notifications, Webhooks: the URL; copy the key below the list. For an "
        "app it is the client secret."
    ),
    "slack": _copied(
        "Your app, Event Subscriptions: the URL; `secrets` is the Signing Secret of Basic"
        " Information."
    ),
    "standard-webhooks": _copied("The URL; copy the secret, `whsec_...` or `whpk_...`."),
    "stripe": _copied("Workbench, Webhooks, Add destination: the URL; copy the signing secret."),
    "svix": _copied("The URL, as endpoint in its portal; copy the signing secret."),
    "telegram": Setup(
        enter="Call `setWebhook` with the URL as `url`, and a secret that you make, of letters,"
        " digits, `_` and `-`, as `secret_token`."
    ),
    "twilio": _copied(
        "The number's, or the service's, webhook: the URL. `secrets` is the Auth Token.",
        options=_SIGNED_URL,
    ),
    "x": _copied(
        "Register the URL over X's API; `secrets` is the app's consumer secret, the "
        "oldest first while you rotate."
    ),
    "zendesk": _copied(
        "Admin Center, Apps and integrations, Webhooks: the URL; reveal the secret, and "
        "take it as it is."
    ),
    "zoom": _copied(
        "Your app, Features, Event Subscriptions: the URL; `secrets` is the Secret Token."
    ),
}
