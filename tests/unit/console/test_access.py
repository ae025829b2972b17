from ipaddress import ip_network

from relay.console.access import Access, Role
from tests.support.rows import for_each_row

TOKENS = {
    Role.VIEWER: ["viewer-token"],
    Role.READER: [],
    Role.OPERATOR: ["operator-token", "b" * 9],
}


def role_with(access: Access, remote: str = "127.0.0.1", **headers: str) -> Role | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    visitor = access.visitor(remote=remote, headers=named, session="")
    return visitor.role if visitor else None


def test_without_tokens_and_proxies_everybody_here_is_an_operator() -> None:
    assert role_with(Access(tokens={})) == Role.OPERATOR


@for_each_row(
    ("header", "role"),
    [
        ("Bearer viewer-token", Role.VIEWER),
        ("bearer operator-token", Role.OPERATOR),
        ("Bearer bbbbbbbbb", Role.OPERATOR),
        ("Bearer viewer-toke", None),
        ("Bearer ", None),
        ("Basic viewer-token", None),
        ("Bearer viewer-token\udcff", None),
        ("", None),
    ],
)
def test_a_token_gives_its_role(header: str, role: Role | None) -> None:
    assert role_with(Access(tokens=TOKENS), Authorization=header) == role


def test_a_session_lasts_until_one_logs_out() -> None:
    access = Access(tokens=TOKENS)
    session = access.log_in("operator-token")
    assert session

    visitor = access.visitor(remote="", headers={}, session=session)
    assert visitor
    assert visitor.can_act
    access.log_out(session)
    assert access.visitor(remote="", headers={}, session=session) is None


def test_after_twenty_wrong_tokens_even_a_right_one_has_to_wait() -> None:
    access = Access(tokens=TOKENS)

    assert [access.log_in(f"wrong-{n}") for n in range(20)] == [None] * 20
    assert access.log_in("operator-token") is None


@for_each_row(
    ("remote", "groups", "role"),
    [
        ("10.1.2.3", "relay-viewer", Role.VIEWER),
        ("10.1.2.3", "staff, relay-reader ,relay-viewer", Role.READER),
        ("10.1.2.3", "RELAY-OPERATOR", Role.OPERATOR),
        ("10.1.2.3", "operators", None),
        ("10.1.2.3", "", None),
        ("192.0.2.1", "relay-operator", None),
    ],
)
def test_a_trusted_proxy_says_who_somebody_is(remote: str, groups: str, role: Role | None) -> None:
    access = Access(tokens={}, proxies=[ip_network("10.0.0.0/8")])

    found = role_with(access, remote, X_Forwarded_User="ann", X_Forwarded_Groups=groups)

    assert found == role


def test_a_form_of_one_session_is_none_of_another() -> None:
    access = Access(tokens=TOKENS)
    sessions = [access.log_in("operator-token") or "" for _ in range(2)]

    visitors = [access.visitor(remote="", headers={}, session=session) for session in sessions]

    assert len({visitor.form_token for visitor in visitors if visitor}) == 2
