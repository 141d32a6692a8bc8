"""What is found out from a head alone is found once, and is the same on every look."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway import describe
from gateway.access.clients import Clients
from gateway.account import Account
from gateway.agents.identity import claims
from gateway.config.settings import ClientSettings
from gateway.errors import RequestError
from gateway.overrides.shape import read_betas
from gateway.store.records import Endpoint
from gateway.wire.formats import Wire
from gateway.wire.http import Head, Header, Request

NAMES = st.sampled_from(
    [
        b"x-agent-type",
        b"x-claude-code-agent-id",
        b"x-claude-code-agent-type",
        b"x-claude-code-session-id",
        b"anthropic-beta",
        b"authorization",
        b"user-agent",
        b"x-api-key",
        b"x-project-id",
    ]
)
VALUES = st.sampled_from([b"", b"custom", b"Bearer sk-ant-oat01-x", b"Bearer token", b"a, b,,"])
HEADERS = st.lists(st.tuples(NAMES, VALUES | st.binary(max_size=5)), max_size=6).map(tuple)


def request(headers: tuple[Header, ...]) -> Request:
    return Request(Head(b"POST", b"/v1/messages", headers), b"", 0.0)


PLAIN, NAMED = b'{"model":"m"}', b'{"model":"m","project_id":"body"}'


def senders(known: Request, body: bytes) -> describe.Sender:
    """Return who an account says sent a request with this head."""
    request = replace(known, body=body)
    header = (b"x-gateway-request-id", b"id")
    at = (1, 2, 3.0, 4.0)
    account = Account(Endpoint.MESSAGES, request, "id", header, *at, Wire.MESSAGES, counting=False)
    account.parse()
    return account.sender


def found(request: Request) -> tuple[object, ...]:
    """Return everything that is said of a request by its head alone."""
    return (
        claims(request.head),
        read_betas(request.head),
        describe.sender(request.head),
        describe.billing(request, None),
    )


@given(headers=HEADERS, others=HEADERS)
def test_known_head_says_what_a_new_one_says(
    headers: tuple[Header, ...], others: tuple[Header, ...]
) -> None:
    known = request(headers)
    first = found(known)
    assert found(request(others)) == found(request(others))
    assert found(known) == first == found(request(headers))
    assert all(again is one for again, one in zip(found(known), first, strict=True))


def test_project_of_a_body_stays_with_its_request() -> None:
    head = ((b"x-project-id", b"head"), (b"user-agent", b"a"))
    known = request(head)
    projects = [senders(known, body).project_id for body in (PLAIN, NAMED, PLAIN)]
    assert projects == ["head", "body", "head"]
    assert describe.sender(known.head).project_id == "head"
    assert senders(known, NAMED) == describe.Sender(client="a", project_id="body")


def test_key_of_the_gateway_pays_whatever_the_head_shows() -> None:
    known = request(((b"authorization", b"Bearer sk-ant-oat01-x"),))
    kinds = [describe.billing(known, key) for key in (None, "sk-x", "", None)]
    assert kinds == ["subscription", "metered", "metered", "subscription"]


def clients(**tokens: bytes) -> Clients:
    return Clients(
        ClientSettings(name=name, token_sha256=hashlib.sha256(token).hexdigest())
        for name, token in tokens.items()
    )


def test_sender_of_a_known_head_is_who_these_clients_say() -> None:
    head = request(((b"x-api-key", b"t"),)).head
    one, other, none = clients(ann=b"t"), clients(ben=b"t"), clients()
    assert [who.sender(head) for who in (one, other, none, one)] == ["ann", "ben", None, "ann"]
    assert one.authenticate(head.headers) == "ann"


def test_page_of_another_site_is_refused_each_time_unless_there_are_clients() -> None:
    headers = ((b"host", b"localhost"), (b"origin", b"https://evil.example"))
    head, shows_token = request(headers).head, request((*headers, (b"x-api-key", b"t"))).head
    nobody = clients()
    for _ in range(2):
        with pytest.raises(RequestError) as caught:
            nobody.sender(head)
        assert caught.value.status == 403
    assert clients(ann=b"t").sender(shows_token) == "ann"


def test_refused_head_is_refused_each_time() -> None:
    head = request(((b"x-api-key", b"wrong"),)).head
    for _ in range(2):
        with pytest.raises(RequestError) as caught:
            clients(ann=b"t").sender(head)
        assert caught.value.status == 401
