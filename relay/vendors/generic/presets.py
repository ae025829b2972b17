"""Senders by name: how each signs, what it asks and what its events say, in the words of settings.

Each has the page it is from. Where a sender says nothing of how long a signature is good,
`tolerance_s` is 0, so that nothing is refused for its age alone: set it if you know better.

Type, id and conversation are only taken from what is signed. Some senders say the type in a header
that they do not sign; their events have no third word in the routing key. Where a delivery may
hold several events, the id of one of them is not the id of the delivery, so there is none. Pure.
"""

from dataclasses import dataclass, field
from typing import Any

Options = dict[str, Any]

_NO_LIMIT = {"tolerance_s": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One sender.

    Args:
        source: where its rules are documented.
        verify: see verify.py.
        challenge: see challenges.py.
        event: see received.py.
    """

    source: str
    verify: Options
    challenge: Options = field(default_factory=lambda: {"kind": "none"})
    event: Options = field(default_factory=dict)


def _hmac(header: str, **options: Any) -> Options:
    return {"kind": "hmac", "algorithm": "sha256", "header": header, **options}


def _in_parts(header: str, **options: Any) -> Options:
    """Return `t=...,v1=...`, as several senders have it."""
    parts = {"signed": "{timestamp}.{body}", "value": "v1={signature}", "separator": ","}
    return _hmac(header, **parts, timestamp_field="t", tolerance_s=300, **options)


PRESETS: dict[str, Preset] = {
    "bitbucket": Preset(
        source="https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
        verify=_hmac("x-hub-signature", value="sha256={signature}"),
    ),
    "chatwoot": Preset(
        source="https://www.chatwoot.com/docs/product/others/webhook-events",
        verify=_hmac(
            "x-chatwoot-signature",
            signed="{timestamp}.{body}",
            value="sha256={signature}",
            timestamp_header="x-chatwoot-timestamp",
            **_NO_LIMIT,
        ),
        event={"type": "/event", "conversation": "/conversation/id"},
    ),
    "cloudevents": Preset(
        source="https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md",
        verify={"kind": "token", "bearer": True, "query": "access_token"},
        challenge={"kind": "cloudevents"},
        event={
            "type": ["header:ce-type", "/type"],
            "id": ["header:ce-source + header:ce-id", "/source + /id"],
            "time": ["header:ce-time", "/time"],
        },
    ),
    "crisp": Preset(
        source="https://docs.crisp.chat/guides/web-hooks/verify-hooks/",
        verify=_hmac(
            "x-crisp-signature",
            signed="[{timestamp};{body}]",
            timestamp_header="x-crisp-request-timestamp",
            timestamp="unix_ms",
            **_NO_LIMIT,
        ),
        event={"type": "/event", "time": "/timestamp", "conversation": "/data/session_id"},
    ),
    "discord": Preset(
        source="https://docs.discord.com/developers/interactions/overview",
        verify={
            "kind": "public_key",
            "algorithm": "ed25519",
            "signed": "{timestamp}{body}",
            "header": "x-signature-ed25519",
            "timestamp_header": "x-signature-timestamp",
            **_NO_LIMIT,
        },
        challenge={"kind": "discord"},
        event={
            "type": ["/event/type", "/type"],
            "id": "/id",
            "time": "/event/timestamp",
            "conversation": "/channel_id",
        },
    ),
    "freshchat": Preset(
        source="https://crmsupport.freshworks.com/support/solutions/articles/50000004461",
        verify={
            "kind": "public_key",
            "algorithm": "rsa-sha256",
            "header": "x-freshchat-signature",
            "encoding": "base64",
        },
        event={
            "type": "/action",
            "time": "/action_time",
            "conversation": "/data/message/conversation_id",
        },
    ),
    "front": Preset(
        source="https://dev.frontapp.com/docs/webhooks-1",
        verify=_hmac(
            "x-front-signature",
            signed="{timestamp}:{body}",
            encoding="base64",
            timestamp_header="x-front-request-timestamp",
            timestamp="unix_ms",
            **_NO_LIMIT,
        ),
        challenge={"kind": "front"},
        event={"type": "/type"},
    ),
    "github": Preset(
        source="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        verify=_hmac("x-hub-signature-256", value="sha256={signature}"),
        event={"type": "/action"},
    ),
    "gitlab": Preset(
        source="https://docs.gitlab.com/user/project/integrations/webhooks/",
        verify={"kind": "token", "header": "x-gitlab-token"},
        event={"type": ["/object_kind", "/event_name"]},
    ),
    "helpscout": Preset(
        source="https://developer.helpscout.com/webhooks/",
        verify=_hmac("x-helpscout-signature", algorithm="sha1", encoding="base64"),
    ),
    "hubspot": Preset(
        source="https://developers.hubspot.com/docs/api/webhooks/validating-requests",
        verify=_hmac(
            "x-hubspot-signature-v3",
            signed="{method}{url}{body}{timestamp}",
            encoding="base64",
            timestamp_header="x-hubspot-request-timestamp",
            timestamp="unix_ms",
            tolerance_s=300,
        ),
        event={"type": "/0/subscriptionType"},
    ),
    "hubspot-v1": Preset(
        source="https://developers.hubspot.com/docs/faq/v1-request-validation",
        verify={"kind": "digest", "header": "x-hubspot-signature"},
        event={"type": "/0/subscriptionType"},
    ),
    "hubspot-v2": Preset(
        source="https://developers.hubspot.com/docs/faq/v2-request-validation",
        verify={
            "kind": "digest",
            "header": "x-hubspot-signature",
            "signed": "{method}{url}{body}",
        },
    ),
    "intercom": Preset(
        source="https://developers.intercom.com/docs/webhooks/webhook-notifications",
        verify=_hmac("x-hub-signature", algorithm="sha1", value="sha1={signature}"),
        event={"type": "/topic", "id": "/id", "time": "/created_at"},
    ),
    "line": Preset(
        source="https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/",
        verify=_hmac("x-line-signature", encoding="base64"),
        event={"type": "/events/0/type"},
    ),
    "livechat": Preset(
        source="https://platform.text.com/docs/management/webhooks",
        verify={"kind": "token", "body": "/secret_key"},
        event={"type": "/action", "conversation": ["/payload/chat_id", "/payload/chat/id"]},
    ),
    "meta": Preset(
        source="https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
        verify=_hmac("x-hub-signature-256", value="sha256={signature}"),
        challenge={"kind": "meta"},
        event={"type": "/object"},
    ),
    "msgraph": Preset(
        source="https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks",
        verify={"kind": "token", "body": "/value/*/clientState"},
        challenge={"kind": "graph"},
        event={"type": ["/value/0/lifecycleEvent", "/value/0/changeType"]},
    ),
    "mux": Preset(
        source="https://www.mux.com/docs/core/verify-webhook-signatures",
        verify=_in_parts("mux-signature"),
        event={"type": "/type", "id": "/id", "time": "/created_at"},
    ),
    "paddle": Preset(
        source="https://developer.paddle.com/webhooks/signature-verification",
        verify=_hmac(
            "paddle-signature",
            signed="{timestamp}:{body}",
            value="h1={signature}",
            separator=";",
            timestamp_field="ts",
            tolerance_s=300,
        ),
        event={"type": "/event_type", "id": "/event_id", "time": "/occurred_at"},
    ),
    "pagerduty": Preset(
        source="https://developer.pagerduty.com/docs/verifying-webhook-signatures",
        verify=_hmac("x-pagerduty-signature", value="v1={signature}", separator=","),
        event={"type": "/event/event_type", "id": "/event/id", "time": "/event/occurred_at"},
    ),
    "razorpay": Preset(
        source="https://razorpay.com/docs/webhooks/validate-test/",
        verify=_hmac("x-razorpay-signature"),
        event={"type": "/event", "time": "/created_at"},
    ),
    "rocketchat": Preset(
        source="https://docs.rocket.chat/docs/webhooks",
        verify={"kind": "token", "header": "x-rocketchat-livechat-token"},
        event={"type": "/type", "conversation": "/_id"},
    ),
    "shopify": Preset(
        source="https://shopify.dev/docs/apps/build/webhooks/verify-deliveries",
        verify=_hmac("x-shopify-hmac-sha256", encoding="base64"),
    ),
    "slack": Preset(
        source="https://docs.slack.dev/authentication/verifying-requests-from-slack/",
        verify=_hmac(
            "x-slack-signature",
            signed="v0:{timestamp}:{body}",
            value="v0={signature}",
            timestamp_header="x-slack-request-timestamp",
            tolerance_s=300,
        ),
        challenge={"kind": "slack"},
        event={
            "type": ["/event/type", "/type", "/command"],
            "id": "/event_id",
            "time": "/event_time",
            "conversation": ["/event/channel", "/channel_id"],
        },
    ),
    "standard-webhooks": Preset(
        source="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
        verify={"kind": "standard-webhooks"},
        event={"type": "/type", "id": "header:webhook-id", "time": "/timestamp"},
    ),
    "stripe": Preset(
        source="https://docs.stripe.com/webhooks#verify-manually",
        verify=_in_parts("stripe-signature"),
        event={"type": "/type", "id": "/id", "time": "/created"},
    ),
    "svix": Preset(
        source="https://docs.svix.com/receiving/verifying-payloads/how-manual",
        verify={"kind": "standard-webhooks", "prefix": "svix"},
        event={"type": "/type", "id": "header:svix-id", "time": "/timestamp"},
    ),
    "telegram": Preset(
        source="https://core.telegram.org/bots/api#setwebhook",
        verify={"kind": "token", "header": "x-telegram-bot-api-secret-token"},
        event={
            "id": "/update_id",
            "time": ["/message/date", "/edited_message/edit_date", "/channel_post/date"],
            "conversation": [
                "/message/chat/id",
                "/edited_message/chat/id",
                "/callback_query/message/chat/id",
                "/channel_post/chat/id",
            ],
        },
    ),
    "twilio": Preset(
        source="https://www.twilio.com/docs/usage/webhooks/webhooks-security",
        verify={"kind": "twilio"},
        event={
            "type": ["/EventType", "/CallStatus", "/MessageStatus", "/SmsStatus", "/0/type"],
            "conversation": "/ConversationSid",
        },
    ),
    "x": Preset(
        source="https://docs.x.com/x-api/webhooks/introduction",
        verify=_hmac("x-twitter-webhooks-signature", value="sha256={signature}", encoding="base64"),
        challenge={"kind": "crc"},
    ),
    "zendesk": Preset(
        source="https://developer.zendesk.com/documentation/webhooks/verifying/",
        verify=_hmac(
            "x-zendesk-webhook-signature",
            signed="{timestamp}{body}",
            encoding="base64",
            timestamp_header="x-zendesk-webhook-signature-timestamp",
            timestamp="rfc3339",
            **_NO_LIMIT,
        ),
        event={"type": "/type", "id": "/id", "time": "/time"},
    ),
    "zoom": Preset(
        source="https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events",
        verify=_hmac(
            "x-zm-signature",
            signed="v0:{timestamp}:{body}",
            value="v0={signature}",
            timestamp_header="x-zm-request-timestamp",
            **_NO_LIMIT,
        ),
        challenge={"kind": "zoom"},
        event={"type": "/event", "time": "/event_ts"},
    ),
}
