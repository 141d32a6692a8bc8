"""What cannot be expressed is a 400 that names it; what is left out stands in a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import msgspec
import pytest

from gateway.errors import RequestError
from gateway.translate import TRANSLATORS, Translator, chat_request, messages_request
from gateway.translate.strict import Strict, Unused

Translators = Callable[[], Mapping[str, Translator]]

DIRECTIONS = [f"{client}_{upstream}" for client, upstream in TRANSLATORS]
TOOL = {"name": "t", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "function": {"name": "t"}}
STRICT = {"type": "function", "function": {"name": "t", "strict": True}}


def user(*blocks: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def said(**fields: object) -> dict[str, object]:
    return {"messages": [{"role": "assistant", **fields}]}


def messages(fields: Mapping[str, object]) -> list[object]:
    found = fields["messages"]
    assert isinstance(found, list)
    return found


def document(**fields: object) -> dict[str, object]:
    source = {"type": "text", "media_type": "text/plain", "data": "x"}
    return {"type": "document", "source": source, **fields}


MESSAGES: tuple[tuple[dict[str, object], str], ...] = (
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
    ({"thinking": {"type": "sometimes"}}, "thinking.type: 'sometimes' cannot"),
    ({"output_config": {"task_budget": 3}}, "output_config.task_budget: cannot"),
    ({"output_config": {"effort": "huge"}}, "output_config.effort: 'huge' cannot"),
    ({"service_tier": "priority"}, "service_tier: 'priority' cannot"),
)

CHAT: tuple[tuple[dict[str, object], str], ...] = (
    ({"n": 2}, "n: cannot be expressed in "),
    ({"logprobs": True}, "logprobs: cannot"),
    ({"top_logprobs": 3}, "top_logprobs: cannot"),
    ({"logit_bias": {"50256": -100}}, "logit_bias: cannot"),
    ({"store": True}, "store: cannot"),
    ({"functions": []}, "functions: cannot"),
    ({"web_search_options": {}}, "web_search_options: cannot"),
    ({"audio": {}}, "audio: cannot"),
    ({"modalities": ["text", "audio"]}, "modalities.1: 'audio' cannot"),
    ({"verbosity": "loud"}, "verbosity: 'loud' cannot"),
    ({"service_tier": "scale"}, "service_tier: 'scale' cannot"),
    ({"response_format": {"type": "grammar"}}, "response_format.type: 'grammar' cannot"),
    ({"tools": [{"type": "custom", "custom": {}}]}, "tools.0.type: 'custom' cannot"),
    ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type: 'allowed_tools' cannot"),
    ({"tool_choice": "sometimes"}, "tool_choice: 'sometimes' cannot"),
    ({"messages": [{"role": "function", "content": "x"}]}, "messages.0.role: 'function' cannot"),
    (
        {"messages": [{"role": "user", "content": "x", "name": "n"}]},
        "messages.0.name: Expected `null`",
    ),
    (said(audio={"id": "a"}), "messages.0.audio: Expected `null`, got `object`"),
    (user({"type": "input_audio"}), "messages.0.content.0.type: 'input_audio' cannot"),
)

PENALTIES: tuple[tuple[dict[str, object], str], ...] = (
    ({"frequency_penalty": 0.1}, "frequency_penalty: cannot"),
    ({"presence_penalty": -0.1}, "presence_penalty: cannot"),
)
PLAIN: tuple[tuple[dict[str, object], str], ...] = (
    ({"verbosity": "high"}, "verbosity: cannot"),
    ({"service_tier": "flex"}, "service_tier: cannot"),
    (
        said(tool_calls=[{"id": "c", "function": {"name": "t", "arguments": "[1]"}}]),
        "messages.0.tool_calls.0.function.arguments: must be a JSON object",
    ),
    (
        user({"type": "image_url", "image_url": {"url": "data:text/plain,x"}}),
        "messages.0.content.0.image_url.url: cannot",
    ),
)
SOURCE = {"type": "url", "url": "https://x"}
CALLED = {"type": "tool_use", "id": "a", "name": "t", "input": [1]}
FILE = {"type": "file", "file": {"file_data": "JVBERi0="}}
KEPT = {"type": "file", "file": {"file_id": "f"}}


def text_file(data: str) -> dict[str, object]:
    return {"type": "file", "file": {"file_data": f"data:text/plain;base64,{data}"}}


ONE_WAY: Mapping[str, tuple[tuple[dict[str, object], str], ...]] = {
    "messages_chat": (
        ({"top_k": 5}, "top_k: cannot"),
        ({"stop_sequences": list("abcde")}, "stop_sequences: cannot"),
        (user(document(context="c")), "messages.0.content.context: cannot"),
        (user(document(citations={"enabled": True})), "messages.0.content.citations: cannot"),
        (user({"type": "document", "source": SOURCE}), "messages.0.content.source.url: cannot"),
    ),
    "messages_responses": (
        ({"top_k": 0}, "top_k: cannot"),
        ({"stop_sequences": ["a"]}, "stop_sequences: cannot"),
        (user(document(context="c")), "messages.0.content.context: cannot"),
        (user(document(citations={"enabled": True})), "messages.0.content.citations: cannot"),
    ),
    "messages_ollama": (
        (user(document(context="c")), "messages.0.content.0.context: cannot"),
        (user(document(citations={"enabled": True})), "messages.0.content.0.citations: cannot"),
        (user({"type": "document", "source": SOURCE}), "messages.0.content.0.source: cannot"),
        (user({"type": "image", "source": SOURCE}), "messages.0.content.0.source.url: cannot"),
        (
            user({"type": "tool_result", "tool_use_id": "a", "content": "x"}),
            "messages.0.content.0.tool_use_id: names no tool call of an earlier turn",
        ),
        (
            {"messages": [*messages(said(content=[CALLED])), *messages(user())]},
            "messages.0.content.0.input: must be a JSON object",
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_choice: cannot"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "t"}}, "tool_choice: cannot"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            "tool_choice.disable_parallel_tool_use: cannot",
        ),
        ({"tools": [TOOL | {"strict": True}]}, "tools.0.strict: cannot"),
    ),
    "chat_messages": (
        *PENALTIES,
        *PLAIN,
        ({"temperature": 1.2}, "temperature: cannot be expressed in the Anthropic Messages API: "),
        ({"response_format": {"type": "json_object"}}, "response_format.type: cannot"),
        (user(FILE), "messages.0.content.0.file.file_data: cannot"),
        (user(text_file("e$")), "messages.0.content.0.file.file_data: must be base64"),
        (user(text_file("/w==")), "messages.0.content.0.file.file_data: cannot"),
        (user(KEPT), "messages.0.content.0.file.file_id: cannot"),
    ),
    "chat_responses": (*PENALTIES, ({"stop": "a"}, "stop: cannot")),
    "chat_ollama": (
        *PLAIN,
        (user(FILE), "messages.0.content.0.file: cannot"),
        (
            user({"type": "image_url", "image_url": {"url": "https://x/a.png"}}),
            "messages.0.content.0.image_url.url: cannot",
        ),
        ({"tools": [FUNCTION], "tool_choice": "required"}, "tool_choice: cannot"),
        ({"tools": [FUNCTION], "tool_choice": FUNCTION}, "tool_choice: cannot"),
        ({"tools": [FUNCTION], "parallel_tool_calls": False}, "parallel_tool_calls: cannot"),
        ({"tools": [STRICT]}, "tools.0.function.strict: cannot"),
        (
            {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
            "messages.0.tool_call_id: names no tool call of an earlier turn",
        ),
    ),
}

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


@pytest.mark.parametrize("direction", [one for one in DIRECTIONS if one.startswith("messages_")])
@pytest.mark.parametrize(("fields", "message"), MESSAGES, ids=[one[1] for one in MESSAGES])
def test_messages_request_is_refused_by_name(
    direction: str, fields: dict[str, object], message: str, translators: Translators
) -> None:
    assert refusal(translators()[direction], fields).startswith(message)


@pytest.mark.parametrize("direction", [one for one in DIRECTIONS if one.startswith("chat_")])
@pytest.mark.parametrize(("fields", "message"), CHAT, ids=[one[1] for one in CHAT])
def test_chat_request_is_refused_by_name(
    direction: str, fields: dict[str, object], message: str, translators: Translators
) -> None:
    assert refusal(translators()[direction], fields).startswith(message)


@pytest.mark.parametrize(
    ("direction", "fields", "message"),
    [(direction, *case) for direction in DIRECTIONS for case in ONE_WAY[direction]],
)
def test_request_is_refused_for_one_upstream(
    direction: str, fields: dict[str, object], message: str, translators: Translators
) -> None:
    assert refusal(translators()[direction], fields).startswith(message)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_request_is_refused(
    direction: str, body: bytes, translators: Translators
) -> None:
    with pytest.raises(RequestError) as caught:
        translators()[direction].request(body, "m")
    assert caught.value.status == 400
    assert caught.value.kind == "invalid_request_error"


@pytest.mark.parametrize("module", [messages_request, chat_request], ids=["messages", "chat"])
def test_what_no_upstream_needs_is_listed_with_a_reason(module: ModuleType) -> None:
    table: Mapping[str, str] = module.NOT_NEEDED
    assert {*unused(module)} == {*table}
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
