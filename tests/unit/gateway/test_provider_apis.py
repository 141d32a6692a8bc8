"""Which API of a provider is spoken, and what follows: path, key, who is asked for usage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config.loading import load
from gateway.config.providers import APIS, SUPPORTED_TYPES
from gateway.config.settings import ProviderSettings
from gateway.errors import ConfigError
from gateway.links import Link, key_vendor, open_links
from gateway.providers import PROVIDERS
from gateway.translate import TRANSLATORS
from gateway.wire.body import Body
from gateway.wire.formats import STREAM_TYPES, Wire
from gateway.wire.http import Header

URLS = {"openai": "https://api.openai.com/v1", "azure": "https://one.openai.azure.com"}


def link(kind: str, **fields: object) -> Link:
    known = {"name": kind, "type": kind, "base_url": URLS.get(kind, "http://127.0.0.1:9")}
    settings = ProviderSettings(**{**known, **fields})  # type: ignore[arg-type]  # by name
    return open_links([settings], {"KEY": "own"})[kind]


def test_configuration_allows_what_the_dialects_speak() -> None:
    assert APIS["chat"] == SUPPORTED_TYPES
    for api in ("responses", "native"):
        assert APIS[api] == {kind for kind, dialect in PROVIDERS.items() if api in dialect.apis}


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
def test_every_api_can_be_translated_for_every_client(kind: str) -> None:
    for wire in {PROVIDERS[kind].wire, *PROVIDERS[kind].apis.values()}:
        assert wire in STREAM_TYPES
        for client in (Wire.MESSAGES, Wire.CHAT):
            assert client is wire or (client, wire) in TRANSLATORS


def test_native_ollama_is_asked_at_its_own_path() -> None:
    found = link("ollama", api="native")
    path = TRANSLATORS[Wire.CHAT, found.wire].path
    assert found.wire is Wire.OLLAMA
    assert found.dialect.target(found.settings, path, b"", "m") == b"/api/chat"


BEARER = (b"authorization", b"Bearer sk-client")
ANT = (b"authorization", b"Bearer sk-ant-client")
OAUTH = (b"authorization", b"Bearer sk-ant-oat01-client")
JSON = (b"content-type", b"application/json")
IDENTITY = (b"accept-encoding", b"identity")
VERSION = (b"anthropic-version", b"2023-06-01")
BETA = (b"anthropic-beta", b"oauth-2025-04-20")


@pytest.mark.parametrize(
    ("kind", "api", "given", "sent"),
    [
        ("openai", "responses", (BEARER,), (JSON, BEARER)),
        ("anthropic", "chat", (ANT,), (JSON, VERSION, (b"x-api-key", b"sk-ant-client"))),
        ("anthropic", "chat", (OAUTH,), (JSON, VERSION, BETA, OAUTH)),
        ("ollama", "native", (BEARER,), (JSON,)),
        ("azure", "responses", (BEARER,), (JSON,)),
    ],
)
def test_key_of_a_chat_client_stands_where_its_vendor_wants_it(
    kind: str, api: str, given: tuple[Header, ...], sent: tuple[Header, ...]
) -> None:
    found = link(kind, api=api)
    vendor = key_vendor(given, Wire.CHAT, authenticated=False)
    assert found.headers(given, Wire.CHAT, vendor) == (*sent, IDENTITY)


STREAM = b'{"model": "m", "stream": true}'
ASKED = b'{"model": "m", "stream": true, "stream_options": {"include_usage": true}}'
OWN_DATA = b'{"model": "m", "stream": true, "data_sources": []}'


@pytest.mark.parametrize(
    ("kind", "fields", "client", "body", "expected"),
    [
        ("openai", {}, Wire.CHAT, STREAM, True),
        ("openai", {}, Wire.CHAT, ASKED, False),
        ("openai", {}, Wire.CHAT, b'{"model": "m"}', False),
        ("openai", {}, Wire.MESSAGES, STREAM, False),
        ("openai", {"api": "responses"}, Wire.CHAT, STREAM, False),
        ("openai", {"stream_usage": False}, Wire.CHAT, STREAM, False),
        ("openai", {"base_url": "https://eu.api.openai.com"}, Wire.CHAT, STREAM, True),
        ("openai", {"base_url": "https://api.mistral.ai"}, Wire.CHAT, STREAM, False),
        ("openai", {"base_url": "https://notopenai.com"}, Wire.CHAT, STREAM, False),
        (
            "openai",
            {"base_url": "https://api.mistral.ai", "stream_usage": True},
            Wire.CHAT,
            STREAM,
            True,
        ),
        ("azure", {}, Wire.CHAT, STREAM, True),
        ("azure", {"api_version": "2024-02-01"}, Wire.CHAT, STREAM, False),
        ("azure", {"api_version": "2024-09-01-preview"}, Wire.CHAT, STREAM, True),
        ("azure", {"api_version": "v1"}, Wire.CHAT, STREAM, True),
        ("azure", {}, Wire.CHAT, OWN_DATA, False),
        ("deepseek", {}, Wire.CHAT, STREAM, True),
        ("ollama", {}, Wire.CHAT, STREAM, True),
        ("ollama", {"api": "native"}, Wire.CHAT, STREAM, False),
        ("vllm", {}, Wire.CHAT, STREAM, True),
        ("vllm", {"stream_usage": False}, Wire.CHAT, STREAM, False),
        ("anthropic", {}, Wire.MESSAGES, STREAM, False),
    ],
)
def test_usage_is_added_where_it_is_safe(
    kind: str, fields: Mapping[str, object], client: Wire, body: bytes, *, expected: bool
) -> None:
    assert link(kind, **fields).adds_usage(client, Body(body)) is expected


def configured(folder: Path, **fields: object) -> ProviderSettings:
    entry = {"providerType": "ollama", "baseUrl": "http://127.0.0.1:11434"} | fields
    document = {"llmGateway": {"providers": {"one": entry}}}
    (folder / "orchestra-config.json").write_text(json.dumps(document, indent=1))
    return load(folder, folder).providers[0]


def test_native_api_is_configured(tmp_path: Path) -> None:
    assert configured(tmp_path, api="native").api == "native"
    assert configured(tmp_path).stream_usage is None
    assert configured(tmp_path, streamUsage=False).stream_usage is False


@pytest.mark.parametrize(
    ("api", "version"),
    [
        ("responses", "2025-03-01-preview"),
        ("responses", "2025-04-01-preview"),
        ("responses", "preview"),
        ("responses", "v1"),
        ("chat", "2024-02-01"),
    ],
)
def test_version_that_knows_the_api_is_configured(tmp_path: Path, api: str, version: str) -> None:
    found = configured(tmp_path, providerType="azure", api=api, apiVersion=version)
    assert (found.api, found.api_version) == (api, version)


@pytest.mark.parametrize(
    ("fields", "key", "problem", "fix"),
    [
        (
            {"providerType": "vllm", "api": "native"},
            "api",
            "a provider of type vllm does not speak",
            '"chat", "responses"',
        ),
        (
            {"providerType": "anthropic", "api": "responses"},
            "api",
            "a provider of type anthropic does not speak",
            '"chat"',
        ),
        ({"api": "generate"}, "api", "generate", "native"),
        (
            {"api": "native", "baseUrl": "http://127.0.0.1:11434/v1/"},
            "baseUrl",
            "ends in /v1",
            "leave /v1 out",
        ),
        (
            {"api": "native", "baseUrl": "http://127.0.0.1:11434/api"},
            "baseUrl",
            "ends in /api",
            "leave /api out",
        ),
        ({"api": "native", "streamUsage": True}, "streamUsage", "has no effect", "leave it out"),
        (
            {"providerType": "azure", "api": "responses", "apiVersion": "2025-02-01-preview"},
            "apiVersion",
            'is "2025-02-01-preview", which does not know the Responses API',
            "2025-03-01-preview or later",
        ),
        (
            {"providerType": "azure", "api": "responses", "apiVersion": "2024-10-21"},
            "apiVersion",
            "does not know the Responses API",
            '"api": "chat"',
        ),
        (
            {"providerType": "anthropic", "streamUsage": True},
            "streamUsage",
            "has no effect",
            "leave it out",
        ),
    ],
)
def test_combination_without_sense_is_refused_with_the_fix(
    tmp_path: Path, fields: Mapping[str, object], key: str, problem: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, **fields)
    text = str(caught.value)
    assert f"llmGateway.providers.one.{key}" in text
    assert problem in text
    assert fix in text
