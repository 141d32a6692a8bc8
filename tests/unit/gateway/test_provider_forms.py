"""What each kind of provider is sent of one rich request: fields, words, and what it does not take.

The request is a Messages client's, in a tool loop, with thinking; `BODIES` says what differs.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.candidates import Candidate
from gateway.config.settings import ProviderSettings
from gateway.links import open_links
from gateway.overrides.capabilities import Capabilities, Capability
from gateway.provider_request import Call, prepare
from gateway.providers import PROVIDERS
from gateway.translate import TRANSLATORS
from gateway.wire.body import Body
from gateway.wire.formats import Wire
from gateway.wire.http import Head, Request

Json = Any  # a request as its format has it
Fields = dict[str, Json]

KNOWN = Capabilities(
    {
        "gpt-5": Capability(effort=("minimal", "low", "medium", "high")),
        "gpt-oss": Capability(effort=("low", "medium", "high")),
    }
)
URLS = {"openai": "https://api.openai.com/v1", "azure": "https://one.openai.azure.com"}
MISTRAL = {"base_url": "https://api.mistral.ai/v1"}
OLD = {"api_version": "2024-06-01"}

TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
LOOP: list[Json] = [
    {"role": "user", "content": "Look."},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "x"}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "ok"}]},
    {"role": "assistant", "content": "Done."},
    {"role": "user", "content": "Again."},
]
REQUEST: Fields = {
    "model": "claude-x",
    "max_tokens": 32_000,
    "system": "Be short.",
    "messages": LOOP,
    "tools": [TOOL],
    "thinking": {"type": "enabled", "budget_tokens": 16_000},
    "output_config": {"effort": "max"},
    "metadata": {"user_id": "u"},
}
ASKS = {"stream_options": {"include_usage": True}}


def settings(kind: str, **fields: Json) -> ProviderSettings:
    known = {"name": "one", "type": kind, "base_url": URLS.get(kind, "http://127.0.0.1:9")}
    return ProviderSettings(**{**known, "api_key_ref": "env:KEY", **fields})


def sent(
    provider: ProviderSettings, request: Json, model: str, client: Wire = Wire.MESSAGES
) -> tuple[bytes, bytes]:
    """Return target and body of what a provider is sent."""
    link = open_links([provider], {"KEY": "own"}, capabilities=KNOWN)["one"]
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    head = Head(b"POST", b"/v1/messages", ((b"user-agent", b"u"),))
    if client is Wire.CHAT:
        head = Head(b"POST", b"/v1/chat/completions", ((b"user-agent", b"u"),))
    call = Call("gw_1", client, Request(head, body, 0.0), Body(body), head.target, None)
    found = prepare(call, Candidate(link, link.names.name(model), model, "default", 0), TRANSLATORS)
    return found.head.split(b" ", 2)[1], found.body


NEWER = {"max_completion_tokens": 32_000, "reasoning_effort": "xhigh", "user": "u"}
PLAIN = {"max_tokens": 32_000, "reasoning_effort": "xhigh"}
DEEPSEEK = PLAIN | {"reasoning_effort": "max", "thinking": {"type": "enabled"}}
RESPONSES = {"max_output_tokens": 32_000, "reasoning": {"effort": "xhigh"}, "user": "u"}

BODIES: list[tuple[str, Fields, str, Fields, bool]] = [
    ("openai", {}, "gpt-next", NEWER, True),
    ("openai", {"stream_usage": False}, "gpt-next", NEWER, False),
    ("openai", MISTRAL, "mistral-large", PLAIN, False),
    ("openai", MISTRAL | {"stream_usage": True}, "mistral-large", PLAIN, True),
    ("openai", {"base_url": "http://relay/v1"}, "o9-mini", NEWER, True),
    ("openai", {"base_url": "http://relay/v1"}, "openai/gpt-6", NEWER, True),
    ("openai", {"base_url": "http://relay/v1"}, "openai/gpt-oss-20b", PLAIN, True),
    ("azure", {}, "gpt-next", NEWER, True),
    ("azure", {"api_version": "2024-09-01-preview"}, "gpt-next", NEWER, True),
    ("azure", {"api_version": "preview"}, "gpt-next", NEWER, True),
    ("azure", OLD, "gpt-next", PLAIN | {"user": "u"}, False),
    ("azure", OLD | {"stream_usage": True}, "gpt-next", PLAIN | {"user": "u"}, True),
    ("deepseek", {}, "deepseek-v9", DEEPSEEK, True),
    ("ollama", {}, "llama3", PLAIN | {"reasoning_effort": "high"}, True),
    ("vllm", {}, "qwen", PLAIN, True),
    ("vllm", {"stream_usage": False}, "qwen", PLAIN, False),
    ("tgi", {}, "tgi", PLAIN, True),
    ("localai", {}, "qwen", PLAIN, True),
    ("openai", {"api": "responses"}, "gpt-next", RESPONSES, False),
    ("azure", {"api": "responses"}, "gpt-next", RESPONSES, False),
    ("deepseek", {"api": "responses"}, "d", RESPONSES | {"reasoning": {"effort": "max"}}, False),
    ("ollama", {"api": "responses"}, "l", RESPONSES | {"reasoning": {"effort": "high"}}, False),
    ("vllm", {"api": "responses"}, "qwen", RESPONSES, False),
    ("tgi", {"api": "responses"}, "tgi", RESPONSES, False),
    ("localai", {"api": "responses"}, "qwen", RESPONSES, False),
    ("ollama", {"api": "native"}, "llama3", {"options": {"num_predict": 32_000}, "think": True},
     False),
    ("anthropic", {}, "claude-y",
     {name: value for name, value in REQUEST.items() if name not in ("system", "model")}, False),
]  # fmt: skip
"""Kind of provider, its settings, the model, the fields beside the conversation, and whether a
stream is asked for its usage."""

CONVERSATION = ("model", "messages", "input", "instructions", "system", "tools", "stream", "store")


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize(("kind", "fields", "model", "expected", "asks"), BODIES)
def test_provider_is_asked_in_its_own_words(
    kind: str, fields: Fields, model: str, expected: Fields, *, asks: bool, stream: bool
) -> None:
    request = REQUEST | ({"stream": True} if stream else {})
    found = json.loads(sent(settings(kind, **fields), request, model)[1])
    assert found["model"] == model
    assert found.get("stream", False) is stream
    if kind == "anthropic":
        assert found == request | {"model": model}
        return
    wanted = expected | (ASKS if asks and stream else {})
    assert {name: found[name] for name in found if name not in CONVERSATION} == wanted


def test_every_kind_of_provider_has_a_row_for_each_of_its_formats() -> None:
    rows = {(kind, fields.get("api", "chat")) for kind, fields, *_ in BODIES}
    assert rows == {
        (kind, api) for kind, dialect in PROVIDERS.items() for api in ("chat", *dialect.apis)
    }


@pytest.mark.parametrize("kind", sorted({*PROVIDERS} - {"anthropic"}))
def test_thinking_goes_back_where_it_is_wanted(kind: str) -> None:
    found = json.loads(sent(settings(kind), REQUEST, "some")[1])
    said = [one for one in found["messages"] if one["role"] == "assistant"]
    thoughts = [one.get("reasoning_content") for one in said]
    assert thoughts == (["Hm.", ""] if kind == "deepseek" else [None, None])
    assert [one["content"] for one in said] == ["" if kind == "deepseek" else None, "Done."]


@pytest.mark.parametrize(
    ("kind", "model", "thinking", "effort", "expected"),
    [
        ("openai", "gpt-5", "disabled", "high", {"reasoning_effort": "minimal"}),
        ("openai", "gpt-5", "disabled", None, {"reasoning_effort": "minimal"}),
        ("azure", "gpt-5", "between_tools", "high", {"reasoning_effort": "minimal"}),
        ("openai", "gpt-next", "disabled", "high", {}),
        ("deepseek", "d", "disabled", "high", {"thinking": {"type": "disabled"}}),
        ("ollama", "llama3", "disabled", "high", {"reasoning_effort": "none"}),
        ("ollama", "llama3", "adaptive", "high", {}),
        ("ollama", "gpt-oss", "adaptive", "high", {"reasoning_effort": "high"}),
        ("vllm", "qwen", "adaptive", "high", {"reasoning_effort": "high"}),
    ],
)
def test_effort_follows_what_is_known_of_the_model(
    kind: str, model: str, thinking: str, effort: str | None, expected: Fields
) -> None:
    request = REQUEST | {"thinking": {"type": thinking}, "output_config": {}}
    if effort is not None:
        request["output_config"] = {"effort": effort}
    found = json.loads(sent(settings(kind), request, model)[1])
    told = {name: found[name] for name in ("reasoning_effort", "thinking") if name in found}
    assert told == expected


# -- a chat client's own words

WRITTEN = (
    b'{"model": "m",  "max_tokens": 5, "stream": false, "messages": []}',
    b'{"max_completion_tokens":5,"reasoning_effort":"high","model":"m","messages":[]}',
    b'{"model":"m","stream_options":{"include_usage":true},"stream":true,"messages":[ ]}',
    b'{"model":"m","thinking":{"type":"disabled"},"messages":[],"max_tokens":5}',
)


@pytest.mark.parametrize("kind", sorted({*PROVIDERS} - {"anthropic"}))
@pytest.mark.parametrize("body", WRITTEN)
def test_request_in_the_providers_format_keeps_every_byte_but_the_model(
    kind: str, body: bytes
) -> None:
    provider = settings(kind)
    assert sent(provider, body, "m", Wire.CHAT)[1] is body
    renamed = body.replace(b'"m"', b'"other"')
    assert sent(provider, body, "other", Wire.CHAT)[1] == renamed


# -- a deployment

AZURE = {"deployment": "my-gpt", "model_aliases": (("claude-x", "unused"),)}


@pytest.mark.parametrize("client", [Wire.MESSAGES, Wire.CHAT])
@pytest.mark.parametrize(
    ("api", "target"),
    [
        ("chat", b"/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"),
        ("responses", b"/openai/responses?api-version=2025-04-01-preview"),
    ],
)
def test_deployment_is_the_model_that_azure_is_asked_for(
    client: Wire, api: str, target: bytes
) -> None:
    request = REQUEST
    if client is Wire.CHAT:
        request = {"model": "claude-x", "messages": [{"role": "user", "content": "x"}]}
    provider = settings("azure", api=api, **AZURE)
    found, body = sent(provider, request, "claude-x", client)
    assert (found, json.loads(body)["model"]) == (target, "my-gpt")


def test_deployment_of_no_azure_has_no_meaning() -> None:
    _, body = sent(settings("openai", deployment="my-gpt"), REQUEST, "gpt-next")
    assert json.loads(body)["model"] == "gpt-next"
