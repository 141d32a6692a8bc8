"""What each kind of provider is sent: path, credentials, headers; and who is asked at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from gateway.access.clients import Clients, presented
from gateway.config.settings import ClientSettings, ProviderSettings
from gateway.cost.estimate import input_tokens
from gateway.errors import RequestError
from gateway.links import Link, key_vendor, open_links
from gateway.providers import PROVIDERS
from gateway.wire.body import Body
from gateway.wire.chat_usage import AUDIO, ChatMeter, read_chat
from gateway.wire.formats import Wire
from gateway.wire.http import Header
from gateway.wire.usage import STANDARD, Reading, Terms, Usage

CHAT, MESSAGES, RESPONSES = b"/v1/chat/completions", b"/v1/messages", b"/v1/responses"
IDENTITY = (b"accept-encoding", b"identity")
JSON = (b"content-type", b"application/json")


def link(
    kind: str,
    key: str | None = None,
    *,
    tokens: bool = False,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> Link:
    settings = ProviderSettings(
        name=kind,
        type=kind,
        base_url=fields.get("url", "http://127.0.0.1:9"),
        api_key_ref=None if key is None else "env:KEY",
        deployment=fields.get("deployment"),
        api_version=fields.get("api_version"),
        api=fields.get("api", "chat"),
    )
    return open_links([settings], {"KEY": key or ""}, tokens=tokens)[kind]


@pytest.mark.parametrize(
    ("kind", "fields", "path", "target"),
    [
        ("anthropic", {}, MESSAGES, b"/v1/messages?q=1"),
        ("anthropic", {"url": "http://h/v1"}, MESSAGES, b"/messages?q=1"),
        ("anthropic", {"url": "http://h/claude"}, MESSAGES, b"/v1/messages?q=1"),
        ("openai", {}, CHAT, b"/v1/chat/completions?q=1"),
        ("openai", {"url": "http://h/api/v1/"}, CHAT, b"/chat/completions?q=1"),
        ("openai", {"url": "http://h/v1beta"}, CHAT, b"/chat/completions?q=1"),
        ("deepseek", {}, CHAT, b"/chat/completions?q=1"),
        ("ollama", {}, CHAT, b"/v1/chat/completions?q=1"),
        ("vllm", {}, CHAT, b"/v1/chat/completions?q=1"),
        ("tgi", {}, CHAT, b"/v1/chat/completions?q=1"),
        ("localai", {}, CHAT, b"/v1/chat/completions?q=1"),
        (
            "azure",
            {"deployment": "my one", "api_version": "2024-05-01-preview"},
            CHAT,
            b"/openai/deployments/my%20one/chat/completions?api-version=2024-05-01-preview&q=1",
        ),
        (
            "azure",
            {},
            CHAT,
            b"/openai/deployments/gpt%2F4/chat/completions?api-version=2024-10-21&q=1",
        ),
        ("azure", {}, RESPONSES, b"/openai/responses?api-version=2025-04-01-preview&q=1"),
    ],
)
def test_target(kind: str, fields: dict[str, str], path: bytes, target: bytes) -> None:
    found = link(kind, fields=fields)
    assert found.dialect.target(found.settings, path, b"q=1", "gpt/4") == target
    without = target.replace(b"&q=1", b"").replace(b"?q=1", b"")
    assert found.dialect.target(found.settings, path, b"", "gpt/4") == without


@pytest.mark.parametrize(
    ("kind", "api", "wire"),
    [
        ("anthropic", "responses", Wire.MESSAGES),
        ("openai", "chat", Wire.CHAT),
        ("azure", "responses", Wire.RESPONSES),
    ],
)
def test_wire_format_of_a_provider(kind: str, api: str, wire: Wire) -> None:
    assert link(kind, fields={"api": api}).wire is wire


BEARER = (b"authorization", b"Bearer client-key")
ANT = (b"x-api-key", b"sk-ant-client")
COOKIE = (b"cookie", b"c=1")
AGENT = (b"user-agent", b"test/1")
SESSION = (b"x-claude-code-session-id", b"s")
VERSION = (b"anthropic-version", b"2026-10-21")
SENT: list[tuple[str, str | None, Wire, tuple[Header, ...], tuple[Header, ...]]] = [
    # The client's credential goes to its own vendor, in the client's format or not.
    ("anthropic", None, Wire.MESSAGES, (ANT, VERSION, COOKIE), (ANT, VERSION, COOKIE)),
    ("anthropic", None, Wire.MESSAGES, (BEARER,), (BEARER,)),
    ("openai", None, Wire.CHAT, (BEARER, SESSION), (BEARER, SESSION)),
    ("anthropic", None, Wire.CHAT, ((b"authorization", b"Bearer sk-ant-x"), AGENT), (
        AGENT, JSON, (b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"sk-ant-x"))),
    # And to nobody else.
    ("openai", None, Wire.CHAT, (ANT,), ()),
    ("openai", None, Wire.MESSAGES, (BEARER, ANT, AGENT, SESSION, VERSION, COOKIE), (AGENT, JSON)),
    ("azure", None, Wire.CHAT, (BEARER, (b"api-key", b"k"), COOKIE, SESSION), (SESSION,)),
    ("deepseek", None, Wire.CHAT, (BEARER,), ()),
    ("ollama", None, Wire.CHAT, (BEARER, AGENT), (AGENT,)),
    ("vllm", None, Wire.MESSAGES, (BEARER,), (JSON,)),
    # The gateway's own key replaces it.
    ("openai", "own", Wire.CHAT, (BEARER, AGENT), (AGENT, (b"authorization", b"Bearer own"))),
    ("azure", "own", Wire.MESSAGES, (ANT,), (JSON, (b"api-key", b"own"))),
    ("tgi", "own", Wire.CHAT, (BEARER,), ((b"authorization", b"Bearer own"),)),
    ("anthropic", "own", Wire.CHAT, (BEARER,), (
        JSON, (b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"own"))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "key", "client", "given", "sent"), SENT)
def test_credential_goes_only_where_it_belongs(
    kind: str,
    key: str | None,
    client: Wire,
    given: tuple[Header, ...],
    sent: tuple[Header, ...],
) -> None:
    vendor = key_vendor(given, client, authenticated=False)
    assert link(kind, key).headers(given, client, vendor) == (*sent, IDENTITY)


@pytest.mark.parametrize(
    ("key", "headers", "sent"),
    [
        (None, (), None),
        (None, (("X-Api-Key", "configured"),), ((b"x-api-key", b"configured"),)),
        ("own", (), ((b"x-api-key", b"own"),)),
    ],
)
def test_clients_key_is_not_sent_beyond_its_scope(
    key: str | None, headers: tuple[tuple[str, str], ...], sent: tuple[Header, ...] | None
) -> None:
    ref = None if key is None else "env:KEY"
    settings = ProviderSettings(api_key_ref=ref, headers=headers, client_keys=False)
    found = open_links([settings], {"KEY": key or ""})["anthropic"]
    given = (ANT, BEARER, COOKIE, AGENT)
    vendor = key_vendor(given, Wire.MESSAGES, authenticated=False)
    if sent is None:
        assert "needs apiKeyRef" in str(found.refusal(vendor))
    else:
        found.ready(vendor)
        sent_headers = found.headers(given, Wire.MESSAGES, vendor)
        assert sorted(sent_headers) == sorted((AGENT, *sent, IDENTITY))


@pytest.mark.parametrize("tokens", [False, True])
def test_provider_with_its_key_in_a_header_is_asked_for_every_client(*, tokens: bool) -> None:
    own = (("Authorization", "Bearer sk-or"),)
    settings = ProviderSettings(type="openai", headers=own, client_keys=False)
    found = open_links([settings], {}, tokens=tokens)["anthropic"]
    vendor = key_vendor((ANT,), Wire.MESSAGES, authenticated=tokens)
    assert (found.problem, found.refusal(vendor)) == (None, None)
    sent = dict(found.headers((ANT, AGENT), Wire.MESSAGES, vendor))
    assert sent[b"authorization"] == b"Bearer sk-or"
    assert b"x-api-key" not in sent


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
@pytest.mark.parametrize("client", [Wire.MESSAGES, Wire.CHAT])
def test_token_of_the_gateway_reaches_nobody(kind: str, client: Wire) -> None:
    given = (BEARER, ANT, (b"api-key", b"k"))
    for key in (None, "own"):
        vendor = key_vendor(given, client, authenticated=True)
        sent = link(kind, key).headers(given, client, vendor)
        assert not {value for _, value in given} & {value for _, value in sent}


@pytest.mark.parametrize(
    ("kind", "key", "tokens", "given", "client", "words"),
    [
        ("anthropic", None, False, (BEARER,), Wire.MESSAGES, None),
        ("anthropic", None, False, (), Wire.MESSAGES, None),
        ("anthropic", None, False, (BEARER,), Wire.CHAT, "another vendor's key"),
        ("anthropic", None, True, (BEARER,), Wire.MESSAGES, "needs apiKeyRef"),
        ("anthropic", "own", True, (BEARER,), Wire.CHAT, None),
        ("openai", None, False, (BEARER,), Wire.CHAT, None),
        ("openai", None, False, (ANT,), Wire.CHAT, "another vendor's key"),
        ("openai", None, False, (BEARER,), Wire.MESSAGES, "another vendor's key"),
        ("azure", None, False, (BEARER,), Wire.CHAT, "another vendor's key"),
        ("ollama", None, True, (BEARER,), Wire.MESSAGES, None),
        ("openai", "", False, (), Wire.CHAT, "cannot be resolved"),
    ],
)
def test_provider_without_a_fitting_key_is_not_asked(
    kind: str,
    key: str | None,
    *,
    tokens: bool,
    given: tuple[Header, ...],
    client: Wire,
    words: str | None,
) -> None:
    found = link(kind, key, tokens=tokens)
    vendor = key_vendor(given, client, authenticated=tokens)
    problem = found.refusal(vendor)
    assert (problem is None) == (words is None)
    if words is None:
        found.ready(vendor)
    else:
        assert words in str(problem)
        with pytest.raises(RequestError, match=r"^provider .*: "):
            found.ready(vendor)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


CLIENTS = Clients([ClientSettings("one", digest("t1")), ClientSettings("two", digest("t2"))])


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        (((b"x-api-key", b"t1"),), "one"),
        (((b"authorization", b"bearer  t2"),), "two"),
        (((b"x-api-key", b"dummy"), (b"authorization", b"Bearer t1")), "one"),
        (((b"x-api-key", b"t3"),), None),
        (((b"authorization", b"Basic t1"),), None),
        (((b"x-api-key", b""),), None),
        ((), None),
    ],
)
def test_token_names_the_client(headers: tuple[Header, ...], name: str | None) -> None:
    if name is None:
        with pytest.raises(RequestError) as caught:
            CLIENTS.authenticate(headers)
        assert (caught.value.status, caught.value.kind) == (401, "authentication_error")
    else:
        assert CLIENTS.authenticate(headers) == name
    assert Clients([]).authenticate(headers) is None


def test_no_digest_is_shown() -> None:
    assert digest("t1") not in repr(ClientSettings("one", digest("t1")))
    assert list(presented([(b"authorization", b"Bearer a"), (b"x", b"b")])) == [b"a"]
    assert (bool(CLIENTS), bool(Clients([]))) == (True, False)


# -- what OpenAI-type answers say


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


DETAILS = {"prompt_tokens_details": {"cached_tokens": 30}}
COUNTS: dict[str, object] = {"prompt_tokens": 100, "completion_tokens": 7}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (COUNTS, Usage(100, 7)),
        (COUNTS | DETAILS, Usage(70, 7, 0, 0, 30)),
        (COUNTS | {"prompt_cache_hit_tokens": 40}, Usage(60, 7, 0, 0, 40)),
        (COUNTS | {"prompt_tokens_details": None}, Usage(100, 7)),
        (COUNTS | {"prompt_tokens_details": {"cached_tokens": 300}}, Usage(0, 7, 0, 0, 100)),
        ({}, Usage()),
        (COUNTS | {"completion_tokens_details": {"audio_tokens": 0}}, Usage(100, 7)),
        (COUNTS | {"completion_tokens_details": {"audio_tokens": 3}}, Usage(100, 7, terms=AUDIO)),
        (
            COUNTS | {"prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 9}},
            Usage(70, 7, 0, 0, 30, terms=AUDIO),
        ),
        (
            COUNTS | {"prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 60}},
            Usage(10, 7, 60, 0, 30),
        ),
    ],
)
def test_chat_usage_keeps_cached_tokens_apart(usage: dict[str, object], expected: Usage) -> None:
    whole = {"model": "gpt", "choices": [], "usage": usage}
    assert read_chat(json.dumps(whole).encode()) == Reading(expected, "gpt")


TIERS: tuple[tuple[object, Terms], ...] = (
    (None, STANDARD),
    ("", STANDARD),
    ("default", STANDARD),
    ("auto", STANDARD),
    ("standard", STANDARD),
    ("on_demand", STANDARD),
    (7, STANDARD),
    ({"name": "flex"}, STANDARD),
    ("flex", Terms(tier="flex")),
    ("priority", Terms(tier="priority")),
    ("fast", Terms(tier="fast")),
)
"""What an answer calls its service tier, and the terms that makes."""


@pytest.mark.parametrize(("tier", "terms"), TIERS)
def test_answer_tells_the_tier_that_served_it(tier: object, terms: Terms) -> None:
    whole = {"model": "gpt", "service_tier": tier, "choices": [], "usage": COUNTS}
    found = read_chat(json.dumps(whole).encode()).usage
    assert found == Usage(100, 7, terms=terms)
    assert found is not None
    assert (found.terms is STANDARD) is (terms == STANDARD)


def test_audio_in_another_tier_is_told_with_both() -> None:
    usage = COUNTS | {"completion_tokens_details": {"audio_tokens": 3}}
    found = read_chat(json.dumps({"service_tier": "flex", "usage": usage}).encode()).usage
    assert found == Usage(100, 7, terms=Terms(tier="flex", other="audio"))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"usage":{"prompt_tokens":-1}}', b"\xff"])
def test_what_is_no_completion_says_nothing(body: bytes) -> None:
    assert read_chat(body) == Reading()


FIRST = event({"model": "gpt", "choices": [{"delta": {"role": "assistant"}}], "usage": None})
DELTA = event({"model": "gpt", "choices": [{"delta": {"content": "[DONE] prompt_tokens"}}]})
LAST = event({"model": "gpt", "choices": [], "usage": COUNTS | DETAILS})
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_chat_stream_is_metered_at_every_split(end: bytes) -> None:
    stream = (FIRST + b": ping\n\n" + DELTA + LAST).replace(b"\n", end)
    done = DONE.replace(b"\n", end)
    for cut in range(len(stream + done) + 1):
        meter = ChatMeter()
        meter.feed((stream + done)[:cut])
        meter.feed((stream + done)[cut:])
        assert meter.reading() == Reading(Usage(70, 7, 0, 0, 30), "gpt")
        assert meter.stop_at == (
            max(0, len(stream) - cut) if cut < len(stream + done) else len(stream)
        )
        assert meter.error is None


@pytest.mark.parametrize(
    ("first", "last", "tier"),
    [
        ("flex", "flex", "flex"),
        ("priority", None, "priority"),
        (None, "priority", "priority"),
        ("auto", "flex", "flex"),
        ("priority", "default", None),
        ("auto", None, None),
        (None, None, None),
    ],
)
def test_chat_stream_was_served_in_the_last_tier_told(
    first: str | None, last: str | None, tier: str | None
) -> None:
    roles = {"model": "gpt", "service_tier": first, "choices": [{"delta": {"role": "assistant"}}]}
    last_chunk = event({"model": "gpt", "service_tier": last, "choices": [], "usage": COUNTS})
    stream = event(roles) + DELTA + last_chunk + DONE
    for cut in range(len(stream) + 1):
        meter = ChatMeter()
        meter.feed(stream[:cut])
        meter.feed(stream[cut:])
        assert meter.reading().usage == Usage(100, 7, terms=Terms(tier=tier)), cut


def test_chat_stream_without_usage_or_end() -> None:
    meter = ChatMeter()
    meter.feed(FIRST + DELTA)
    assert (meter.reading(), meter.stop_at) == (Reading(None, "gpt"), None)
    meter.feed(event({"error": {"message": "too much", "type": "overloaded"}}))
    assert meter.error == "overloaded: too much"
    meter.feed(event({"error": {}}) + DONE + DONE)
    assert meter.error == "error: no message"
    assert meter.stop_at is not None


def test_estimate_grows_with_what_is_sent() -> None:
    assert input_tokens(Body(b'{"model":"m"}')) == 1
    small = input_tokens(Body(b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'))
    large = {"model": "m", "system": "s" * 700, "messages": [], "tools": [{"name": "t" * 700}]}
    assert small < 20
    assert 400 < input_tokens(Body(json.dumps(large).encode())) < 420
