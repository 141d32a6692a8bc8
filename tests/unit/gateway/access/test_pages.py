"""Which requests are taken for those of web pages, by Host, Origin and what browsers tell."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.pages import own_names, refuse_pages, refuse_rebound, require_local
from gateway.config.settings import ServerSettings
from gateway.errors import RequestError
from gateway.wire.http import Head

NAMES = {"gateway.internal", "gateway.example.com"}
LINK = {"sec-fetch-mode": "navigate"}


def head(headers: Mapping[str, str], method: bytes = b"GET") -> Head:
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Head(method, b"/any", pairs)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"host": "127.0.0.1:3000"}, True),
        ({"host": "localhost"}, True),
        ({"host": "LOCALHOST:3000"}, True),
        ({"host": "[::1]:3000"}, True),
        ({"host": "10.1.2.3:3000"}, True),
        ({"host": "gateway.internal:3000"}, True),
        ({"host": "Gateway.Example.com"}, True),
        ({"host": "evil.example"}, False),
        ({"host": "127.0.0.1.evil.example"}, False),
        ({"host": "evil.example@127.0.0.1"}, False),
        ({"host": "127.0.0.1@evil.example"}, False),
        ({"host": "[::1"}, False),
        ({"host": ":3000"}, False),
        ({"host": "localhost:3000", "origin": "http://localhost:3000"}, True),
        ({"host": "localhost:3000", "origin": "HTTP://LOCALHOST:3000"}, True),
        ({"host": "localhost:3000", "origin": "https://localhost:3000"}, True),
        ({"host": "localhost:3000", "origin": "http://localhost:8080"}, False),
        ({"host": "localhost:3000", "origin": "http://127.0.0.1:3000"}, False),
        ({"host": "localhost:3000", "origin": "https://evil.example"}, False),
        ({"host": "localhost:3000", "origin": "null"}, False),
        ({"host": "localhost:3000", "origin": ""}, False),
        ({"origin": "http://localhost"}, False),
        ({"host": "localhost", "sec-fetch-site": "same-origin"}, True),
        ({"host": "localhost", "sec-fetch-site": "none"} | LINK, True),
        ({"host": "localhost", "sec-fetch-site": "cross-site"} | LINK, True),
        ({"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
        ({"host": "localhost", "sec-fetch-site": "same-site"}, False),
    ],
)
def test_foreign_callers_of_the_operator_api_are_refused(
    headers: dict[str, str], allowed: bool
) -> None:
    if allowed:
        require_local(head(headers), NAMES)
        return
    with pytest.raises(RequestError) as caught:
        require_local(head(headers), NAMES)
    assert caught.value.status == 403


# Who asks, with a POST unless it says otherwise; whether it is let in without a key, and with one.
CLIENTS = {
    "a program": ({"host": "127.0.0.1:3000"}, True, True),
    "no host": ({}, True, True),
    "a container": ({"host": "host.docker.internal:3000"}, True, True),
    "a name of the network": ({"host": "nas:3000"}, True, True),
    "a reverse proxy's name": ({"host": "llm.example.com"}, True, True),
    "node's fetch": ({"host": "llm.example.com", "sec-fetch-mode": "cors"}, True, True),
    "the dashboard's page": (
        {"host": "localhost:3000", "origin": "http://localhost:3000"}
        | {"sec-fetch-site": "same-origin"},
        True,
        True,
    ),
    "a page by a configured name": (
        {"host": "gateway.example.com", "origin": "https://gateway.example.com"},
        True,
        True,
    ),
    "another site": ({"host": "127.0.0.1:3000", "origin": "https://evil.example"}, False, True),
    "another port": ({"host": "localhost:3000", "origin": "http://localhost:8080"}, False, True),
    "a sandboxed frame": ({"host": "localhost:3000", "origin": "null"}, False, True),
    "an extension": ({"host": "localhost:3000", "origin": "chrome-extension://a"}, False, True),
    "a webview": ({"host": "localhost:3000", "origin": "vscode-webview://a"}, False, True),
    "no origin, another site": ({"host": "a", "sec-fetch-site": "cross-site"}, False, True),
    "no origin, a form": ({"host": "a", "sec-fetch-site": "cross-site"} | LINK, False, True),
    # What such a page asks its own site is answered, so it may show any header.
    "a rebound name": ({"host": "evil.example", "origin": "http://evil.example"}, False, False),
    "another rebound name": ({"host": "b.example", "origin": "http://a.example"}, False, False),
    "a rebound name with user": ({"host": "b@127.0.0.1", "origin": "http://a"}, False, False),
    "a page without a host": ({"origin": "http://evil.example"}, False, False),
}


@pytest.mark.parametrize("who", CLIENTS)
@pytest.mark.parametrize("shows_key", [False, True])
def test_page_of_another_site_is_refused_and_no_other_client(who: str, shows_key: bool) -> None:
    headers, without, with_key = CLIENTS[who]
    asking = head(headers, b"POST")
    if with_key if shows_key else without:
        refuse_pages(asking, NAMES, shows_key=shows_key)
        return
    with pytest.raises(RequestError) as caught:
        refuse_pages(asking, NAMES, shows_key=shows_key)
    assert (caught.value.status, caught.value.kind) == (403, "permission_error")


@pytest.mark.parametrize("shows_key", [False, True])
def test_link_to_what_is_only_read_may_be_followed(shows_key: bool) -> None:
    followed = head({"host": "localhost", "sec-fetch-site": "cross-site"} | LINK)
    refuse_pages(followed, NAMES, shows_key=shows_key)


@given(host=st.text(st.characters(codec="ascii")), key=st.booleans())
def test_who_no_browser_speaks_for_may_call_by_any_name(host: str, key: bool) -> None:
    refuse_pages(head({"host": host, "user-agent": "claude-cli"}, b"POST"), (), shows_key=key)


@given(host=st.text(st.characters(codec="ascii")), origin=st.text(st.characters(codec="ascii")))
def test_page_without_a_key_is_let_in_only_by_a_name_of_the_gateways(
    host: str, origin: str
) -> None:
    asking = head({"host": host, "origin": origin}, b"POST")
    try:
        refuse_pages(asking, NAMES, shows_key=False)
    except RequestError:
        return
    require_local(asking, NAMES)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:3000", True),
        ("[::1]:3000", True),
        ("localhost", True),
        ("Gateway.Example.com", True),
        ("host.docker.internal:3000", True),
        ("host.containers.internal", True),
        ("nas", True),
        ("nas.local:3000", True),
        ("", True),
        ("evil.example", False),
        ("llm.example.com:3000", False),
        ("internal.example", False),
        ("evil.example.", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_nothing_is_read_by_a_name_that_may_be_a_sites(host: str, allowed: bool) -> None:
    if allowed:
        refuse_rebound(head({"host": host}), NAMES)
        return
    with pytest.raises(RequestError, match=r"\[server\] names") as caught:
        refuse_rebound(head({"host": host}), NAMES)
    assert caught.value.status == 403


def test_own_names_are_those_of_the_configuration() -> None:
    server = ServerSettings(host="127.0.0.1", names=("Gateway.Example.com",))
    assert own_names(server) == {"127.0.0.1", "gateway.example.com"}
