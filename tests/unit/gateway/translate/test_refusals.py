"""What cannot be expressed is a 400 that names it; what is left out stands in a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import msgspec
import pytest

from gateway.errors import RequestError
from gateway.translate import Translator, chat_request, messages_request
from gateway.translate.strict import Strict, Unused

Translators = Callable[[], Mapping[str, Translator]]

TOOL = {"name": "t", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "function": {"name": "t"}}


def user(*blocks: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def said(**fields: object) -> dict[str, object]:
    return {"messages": [{"role": "assistant", **fields}]}


def document(**fields: object) -> dict[str, object]:
    source = {"type": "text", "media_type": "text/plain", "data": "x"}
    return {"type": "document", "source": source, **fields}


MESSAGES: tuple[tuple[dict[str, object], str], ...] = (
    ({"top_k": 5}, "top_k: cannot be expressed in "),
    ({"container": "c"}, "container: cannot"),
    ({"mcp_servers": []}, "mcp_servers: cannot"),
    ({"frobnicate": None}, "frobnicate: cannot"),
    ({"max_tokens": "many"}, "max_tokens: Expected `int`, got `str`"),
    ({"system": [{"type": "image"}]}, "system.0.type: 'image' cannot"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: 'tool' cannot"),
    ({"messages": [{"role": "user", "content": "x", "name": "n"}]}, "messages.0.name: cannot"),
    ({"messages": [{"role": "user"}]}, "messages.0: Object missing required field `content`"),
    (said(content="Once upon"), "messages.0: cannot be expressed"),
    (user({"type": "server_tool_use"}), "messages.0.content.0.type: 'server_tool_use' cannot"),
    (user({"type": "text", "text": "x", "x": 1}), "messages.0.content.0.x: cannot"),
    (
        user({"type": "image", "source": {"type": "file", "file_id": "f"}}),
        "messages.0.content.0.source.type: 'file' cannot",
    ),
    (user(document(context="c")), "messages.0.content.context: cannot"),
    (user(document(citations={"enabled": True})), "messages.0.content.citations: cannot"),
    (
        user(
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "search_result", "source": "s"}],
            }
        ),
        "messages.0.content.0.content.0.type: 'search_result' cannot",
    ),
    (
        {"tools": [{"type": "web_search_20250305", "name": "w", "input_schema": {}}]},
        "tools.0.type: 'web_search_20250305' cannot",
    ),
    ({"tools": [TOOL | {"allowed_callers": ["code"]}]}, "tools.0.allowed_callers.0: 'code' cannot"),
    ({"tool_choice": {"type": "some"}}, "tool_choice.type: 'some' cannot"),
    ({"thinking": {"type": "between_tools"}}, "thinking.type: 'between_tools' cannot"),
    ({"output_config": {"task_budget": 3}}, "output_config.task_budget: cannot"),
    ({"output_config": {"effort": "huge"}}, "output_config.effort: 'huge' cannot"),
    ({"service_tier": "priority"}, "service_tier: 'priority' cannot"),
)

CHAT: tuple[tuple[dict[str, object], str], ...] = (
    ({"n": 2}, "n: cannot be expressed in the Anthropic Messages API: it gives one answer"),
    ({"logprobs": True}, "logprobs: cannot"),
    ({"top_logprobs": 3}, "top_logprobs: cannot"),
    ({"logit_bias": {"50256": -100}}, "logit_bias: cannot"),
    ({"frequency_penalty": 0.1}, "frequency_penalty: cannot"),
    ({"presence_penalty": -0.1}, "presence_penalty: cannot"),
    ({"store": True}, "store: cannot"),
    ({"temperature": 1.2}, "temperature: cannot be expressed in the Anthropic Messages API: its"),
    ({"functions": []}, "functions: cannot"),
    ({"web_search_options": {}}, "web_search_options: cannot"),
    ({"audio": {}}, "audio: cannot"),
    ({"modalities": ["text", "audio"]}, "modalities.1: 'audio' cannot"),
    ({"verbosity": "high"}, "verbosity: 'high' cannot"),
    ({"service_tier": "flex"}, "service_tier: 'flex' cannot"),
    ({"response_format": {"type": "json_object"}}, "response_format.type: 'json_object' cannot"),
    ({"tools": [{"type": "custom", "custom": {}}]}, "tools.0.type: 'custom' cannot"),
    ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type: 'allowed_tools' cannot"),
    ({"tool_choice": "sometimes"}, "tool_choice: 'sometimes' cannot"),
    ({"messages": [{"role": "function", "content": "x"}]}, "messages.0.role: 'function' cannot"),
    (
        {"messages": [{"role": "user", "content": "x", "name": "n"}]},
        "messages.0.name: Expected `null`",
    ),
    (said(), "messages.0: a message of the assistant needs content or tool_calls"),
    (said(audio={"id": "a"}), "messages.0.audio: Expected `null`, got `object`"),
    (
        said(tool_calls=[{"id": "c", "function": {"name": "t", "arguments": "[1]"}}]),
        "messages.0.tool_calls.0.function.arguments: must be a JSON object",
    ),
    (user({"type": "input_audio"}), "messages.0.content.0.type: 'input_audio' cannot"),
    (
        user({"type": "image_url", "image_url": {"url": "data:text/plain,x"}}),
        "messages.0.content.0.image_url.url: cannot",
    ),
    (
        user({"type": "file", "file": {"file_data": "JVBERi0="}}),
        "messages.0.content.0.file.file_data: cannot",
    ),
    (user({"type": "file", "file": {"file_id": "f"}}), "messages.0.content.0.file.file_id: cannot"),
)

MALFORMED = (
    b"",
    b"[]",
    b"nonsense",
    b'{"model": "m"}',
    b'{"model": "\xff"}',
    b'{"model": "\\ud800"}',
    b'{"model": "m", "max_tokens": 1, "messages": [], "tools": [{"input_schema": "\xff"}]}',
    b'{"messages": ' + b"[" * 100_000,
)


@pytest.mark.parametrize("direction", ["messages_chat", "messages_responses"])
@pytest.mark.parametrize(("fields", "message"), MESSAGES, ids=[one[1] for one in MESSAGES])
def test_messages_request_is_refused_by_name(
    direction: str, fields: dict[str, object], message: str, translators: Translators
) -> None:
    assert refusal(translators()[direction], fields).startswith(message)


@pytest.mark.parametrize(("fields", "message"), CHAT, ids=[one[1] for one in CHAT])
def test_chat_request_is_refused_by_name(
    fields: dict[str, object], message: str, translators: Translators
) -> None:
    assert refusal(translators()["chat_messages"], fields).startswith(message)


@pytest.mark.parametrize(
    ("direction", "fields", "message"),
    [
        ("messages_chat", {"stop_sequences": list("abcde")}, "stop_sequences: cannot"),
        ("messages_responses", {"stop_sequences": ["a"]}, "stop_sequences: cannot"),
        (
            "messages_chat",
            user({"type": "document", "source": {"type": "url", "url": "https://x"}}),
            "messages.0.content.source.url: cannot",
        ),
    ],
)
def test_request_is_refused_for_one_upstream(
    direction: str, fields: dict[str, object], message: str, translators: Translators
) -> None:
    assert refusal(translators()[direction], fields).startswith(message)


@pytest.mark.parametrize("direction", ["messages_chat", "chat_messages", "messages_responses"])
@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_request_is_refused(
    direction: str, body: bytes, translators: Translators
) -> None:
    with pytest.raises(RequestError) as caught:
        translators()[direction].request(body, "m")
    assert caught.value.status == 400
    assert caught.value.kind == "invalid_request_error"


@pytest.mark.parametrize(
    ("module", "also"),
    [(messages_request, {"thinking", "data", "signature"}), (chat_request, set())],
    ids=["messages", "chat"],
)
def test_what_is_left_out_is_listed_with_a_reason(module: ModuleType, also: set[str]) -> None:
    table: Mapping[str, str] = module.NOT_NEEDED
    assert {*unused(module)} == {*table}
    assert also <= {*table}
    assert all(len(reason) > 20 for reason in table.values())
    assert list(table) == sorted(table)


def unused(module: ModuleType) -> Iterator[str]:
    for struct in vars(module).values():
        if isinstance(struct, type) and issubclass(struct, Strict):
            for field in msgspec.structs.fields(struct):
                if field.type == Unused:
                    yield field.encode_name


def refusal(translator: Translator, fields: dict[str, object]) -> str:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]} | fields
    if translator.path != b"/v1/messages":
        body = {"max_tokens": 5} | body
    with pytest.raises(RequestError) as caught:
        translator.request(json.dumps(body).encode(), "m")
    assert caught.value.status == 400
    return str(caught.value)
