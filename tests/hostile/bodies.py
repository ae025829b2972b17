"""One body for all vendors, or one value in the places where each vendor's code looks.

Whoever proved who it is gets 200, be it for the quarantine: nothing authenticated is dropped. Who
did not gets 401 for the same bytes, which the relay has to read all the same to look for a token.
"""

from collections.abc import Iterable, Iterator

from tests.hostile.attack import VENDORS, Shot, accepted, forged

BODY_LIMIT = 5 * 1024 * 1024  # the default of ingress.body_limit_bytes
MILLION = 1_000_000

_TYPES = {
    "swiftsell": b'{"events":[{"event":{"type":VALUE}}]}',
    "supporthunt": b'{"events":[{"event":{"type":"message","payload":{"message":{"type":VALUE}}}}'
    b"]}",
    "acquire": b'{"event":VALUE,"data":{"caseId":1}}',
    "channeltalk": b'{"type":VALUE,"event":VALUE,"entity":{"id":"1"}}',
    "pickyassist": b'{"event_id":VALUE,"contact_id":"1"}',
    "intercom": b'{"topic":VALUE,"id":"1"}',
    "line": b'{"events":[{"type":VALUE}]}',
    "meta": b'{"entry":[{"changes":[{"field":"messages","value":{"messages":[{"type":VALUE}]}}]}]}',
    "zendesk": b'{"events":[{"type":VALUE,"payload":{}}]}',
    "telegram": b'{"update_id":1,"x":{"type":VALUE}}',
    "chatwoot": b'{"event":VALUE,"id":1}',
    "crisp": b'{"event":VALUE,"data":{"type":VALUE}}',
    "livechat": b'{"action":VALUE,"payload":{"event":{"type":VALUE}}}',
}
"""By vendor, a delivery with VALUE for its type, of which the routing key is made."""

FIELDS = {
    "swiftsell": b'{"events":[{"event":{"type":"message","payload":{"message":{"type":"text","id":'
    b'VALUE,"text":VALUE},"message_by":{"type":"user","id":VALUE}}},"conversation":{"key":VALUE},'
    b'"account":{"id":VALUE},"timestamp":VALUE}]}',
    "supporthunt": b'{"events":[{"event":{"type":"variables","payload":{"variables":[{"name":VALUE,'
    b'"value":VALUE}]}},"visitor":{"key":VALUE}}]}',
    "acquire": b'{"event":"case:message:new","data":{"caseId":VALUE,"message":{"id":VALUE,'
    b'"type":"text","message":VALUE,"senderType":"agent","senderId":VALUE}}}',
    "channeltalk": b'{"type":"message","event":"push","entity":{"id":VALUE,"chatId":VALUE,'
    b'"plainText":VALUE,"createdAt":VALUE,"personType":"user","personId":VALUE}}',
    "pickyassist": b'{"event_id":1,"contact_id":VALUE,"user":VALUE,"timestamp":VALUE,'
    b'"channel":VALUE,"project_id":VALUE}',
    "intercom": b'{"topic":"conversation.user.created","id":VALUE,"created_at":VALUE,"data":{'
    b'"item":{"type":"conversation","id":VALUE,"state":VALUE,"source":{"id":VALUE,"body":VALUE,'
    b'"author":{"type":"user","id":VALUE,"name":VALUE}}}}}',
    "line": b'{"destination":VALUE,"events":[{"type":"message","timestamp":VALUE,"webhookEventId":'
    b'VALUE,"source":{"type":VALUE,"userId":VALUE},"message":{"type":"text","id":VALUE,"text":'
    b"VALUE}}]}",
    "meta": b'{"object":"page","entry":[{"id":VALUE,"messaging":[{"sender":{"id":VALUE},'
    b'"recipient":{"id":VALUE},"timestamp":VALUE,"message":{"mid":VALUE,"text":VALUE,'
    b'"attachments":VALUE}}]}]}',
    "zendesk": b'{"type":"zen:event-type:ticket.comment_added","id":VALUE,"time":VALUE,'
    b'"detail":{"id":VALUE},"event":{"comment":{"id":VALUE,"body":VALUE,"is_public":true,"author":{'
    b'"id":VALUE,"name":VALUE,"is_staff":true}}}}',
    "telegram": b'{"update_id":VALUE,"message":{"message_id":VALUE,"date":VALUE,"text":VALUE,'
    b'"from":{"id":VALUE,"first_name":VALUE},"chat":{"id":VALUE,"type":VALUE,"title":VALUE}}}',
    "chatwoot": b'{"event":"message_created","id":VALUE,"content":VALUE,"created_at":VALUE,'
    b'"sender":{"id":VALUE,"name":VALUE,"type":"user"},"conversation":{"id":VALUE,"channel":VALUE,'
    b'"meta":{"sender":{"id":VALUE,"email":VALUE}}},"account":{"id":VALUE}}',
    "crisp": b'{"event":"message:send","website_id":VALUE,"timestamp":VALUE,"data":{"session_id":'
    b'VALUE,"fingerprint":VALUE,"type":VALUE,"content":VALUE,"origin":VALUE,"timestamp":VALUE,'
    b'"user":{"user_id":VALUE,"nickname":VALUE}}}',
    "livechat": b'{"action":"incoming_event","organization_id":VALUE,"payload":{"chat_id":VALUE,'
    b'"event":{"id":VALUE,"type":"message","text":VALUE,"author_id":VALUE,"created_at":VALUE}}}',
}
"""By vendor, a delivery with VALUE for ids, texts and times."""


def filled(what: str, value: bytes) -> Iterator[Shot]:
    """Put value wherever a vendor's code looks, and where it does not."""
    for templates in (_TYPES, FIELDS):
        for vendor, template in templates.items():
            yield accepted(vendor, what, template.replace(b"VALUE", value))
    for vendor, template in FIELDS.items():
        body = b'{"unseen":%b,%b' % (value, template.replace(b"VALUE", b'"1"')[1:])
        yield accepted(vendor, f"unseen {what}", body)


def to_all(bodies: Iterable[tuple[str, bytes]]) -> Iterator[Shot]:
    for what, body in bodies:
        for vendor in VENDORS:
            yield accepted(vendor, what, body)
            yield forged(vendor, what, body)
