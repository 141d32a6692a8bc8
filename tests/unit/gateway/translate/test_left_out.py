"""No field is left out of a request unless a table says why: every field, in every direction."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import msgspec
import pytest

from gateway.errors import RequestError
from gateway.translate import TRANSLATORS, Translator, Wire, chat_request, messages_request
from gateway.translate.strict import Strict

Json = Any  # a request whose shape the structs state
Path = tuple[str | int, ...]
Sample = tuple[Path, Json]
Translators = Callable[[], Mapping[str, Translator]]

REQUESTS: Mapping[Wire, ModuleType] = {Wire.MESSAGES: messages_request, Wire.CHAT: chat_request}

ONLY_VALUES: Mapping[str | int, tuple[Json, ...]] = {
    "allowed_callers": (["direct"],),
    "caller": ({"type": "direct"},),
    "index": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "media_type": ("text/plain",),
    "modalities": (["text"],),
    "n": (1,),
    "store": (False,),
    "top_logprobs": (0,),
    "type": ("custom", "function"),
}
"""What may be said of a field and is no news; everything else is refused."""

OTHER_VALUES: Mapping[str | int, Json] = {"budget_tokens": 20_000, "name": "other"}
"""Instead of leaving out what a request needs."""

SAID_TO_GATEWAY = {"include_usage", "stream_options"}
"""What the gateway itself answers to."""

EPHEMERAL = {"type": "ephemeral"}
PICTURE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
NOTE = {"type": "text", "media_type": "text/plain", "data": "x"}
TOOL = {"name": "t", "input_schema": {}}
FUNCTION = {"name": "t"}
SCHEMA = {"name": "s", "schema": {"type": "object"}}


def turns(*blocks: Json, role: str = "user") -> Json:
    """Return a Messages request with a call, its result and these blocks."""
    use = {"type": "tool_use", "id": "c", "name": "t", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c"}
    found = [
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
        {"role": role, "content": list(blocks)},
        {"role": "user", "content": "x"},
    ]
    return {"model": "m", "max_tokens": 50, "messages": found}


def with_field(name: str, value: Json, **more: Json) -> Sample:
    """Return a request of either format with one more field at its top."""
    body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]}
    return (name,), body | {name: value} | more


def block(name: str, value: Json, role: str = "user", **fields: Json) -> Sample:
    """Return a Messages request with a field on a content block."""
    return ("messages", 2, "content", 0, name), turns(fields | {name: value}, role=role)


def messages_tool(name: str, value: Json) -> Sample:
    return ("tools", 0, name), turns({"type": "text", "text": "x"}) | {
        "tools": [TOOL | {name: value}]
    }


def called(turn: int, name: str, value: Json) -> Sample:
    """Return a Messages request with a field on the tool call (0) or on its result (1)."""
    document = turns({"type": "text", "text": "x"})
    document["messages"][turn]["content"][0][name] = value
    return ("messages", turn, "content", 0, name), document


def nested(outer: str, value: Json, name: str) -> Sample:
    """Return a request with a field within a top-level object."""
    _, document = with_field(outer, value)
    return (outer, name), document


ENABLED = {"type": "enabled", "budget_tokens": 8000}

MESSAGES: tuple[Sample, ...] = (
    with_field("system", "s"),
    with_field("temperature", 0.5),
    with_field("top_p", 0.5),
    with_field("top_k", 5),
    with_field("stop_sequences", ["a"]),
    with_field("stream", value=True),
    with_field("tools", [TOOL]),
    with_field("tool_choice", {"type": "none"}, tools=[TOOL]),
    with_field("thinking", {"type": "disabled"}, output_config={"effort": "high"}),
    with_field("metadata", {"user_id": "u"}),
    with_field("output_config", {"effort": "high"}),
    with_field("output_format", {"type": "json_schema", "schema": {}}),
    with_field("service_tier", "standard_only"),
    with_field("betas", ["b"]),
    with_field("cache_control", EPHEMERAL),
    with_field("context_management", {}),
    nested("output_config", {"effort": "high"}, "effort"),
    nested("output_config", {"format": {"type": "json_schema", "schema": {}}}, "format"),
    nested("thinking", ENABLED | {"display": "summarized"}, "display"),
    nested("thinking", ENABLED, "budget_tokens"),
    nested("metadata", {"user_id": "u"}, "user_id"),
    (
        ("tool_choice", "disable_parallel_tool_use"),
        turns({"type": "text", "text": "x"})
        | {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    block("cache_control", EPHEMERAL, type="text", text="x"),
    block("cache_control", EPHEMERAL, type="image", source=PICTURE),
    block("cache_control", EPHEMERAL, type="document", source=NOTE),
    block("citations", [], type="text", text="x", role="assistant"),
    block("citations", {"enabled": True}, type="document", source=NOTE),
    (
        ("messages", 2, "content", 0, "citations", "enabled"),
        turns({"type": "document", "source": NOTE, "citations": {"enabled": True}}),
    ),
    block("title", "t", type="document", source=NOTE),
    block("context", "c", type="document", source=NOTE),
    (
        ("messages", 2, "content", 0, "source", "media_type"),
        turns({"type": "document", "source": NOTE}),
    ),
    block("thinking", "hm", type="thinking", signature="", role="assistant"),
    block("signature", "s", type="thinking", thinking="", role="assistant"),
    block("data", "d", type="redacted_thinking", role="assistant"),
    called(0, "cache_control", EPHEMERAL),
    called(0, "caller", {"type": "direct"}),
    called(0, "toolset_name", None),
    called(1, "content", "x"),
    called(1, "is_error", value=True),
    called(1, "cache_control", EPHEMERAL),
    called(
        1,
        "content",
        [{"type": "tool_reference", "tool_name": "t", "cache_control": EPHEMERAL}],
    ),
    (
        ("messages", 3, "output_config"),
        turns({"type": "text", "text": "x"})
        | {
            "messages": [
                *turns({"type": "text", "text": "x"})["messages"][:3],
                {"role": "user", "content": "x", "output_config": {"effort": "low"}},
            ]
        },
    ),
    messages_tool("description", "d"),
    messages_tool("type", "custom"),
    messages_tool("strict", value=True),
    messages_tool("input_examples", [{}]),
    messages_tool("allowed_callers", ["direct"]),
    messages_tool("cache_control", EPHEMERAL),
    messages_tool("defer_loading", value=True),
    messages_tool("eager_input_streaming", value=True),
)


def part(name: str, value: Json, role: str = "user", **fields: Json) -> Sample:
    """Return a chat request with a field on a content part."""
    said = {"role": role, "content": [fields | {name: value}]}
    document = {"model": "m", "messages": [said, {"role": "user", "content": "x"}]}
    return ("messages", 0, "content", 0, name), document


def inner(outer: str, name: str, value: Json, **fields: Json) -> Sample:
    """Return a chat request with a field within an object of a content part."""
    kind = {"type": outer, outer: fields | {name: value}}
    document = {"model": "m", "messages": [{"role": "user", "content": [kind]}]}
    return ("messages", 0, "content", 0, outer, name), document


def chat_turn(turn: int, name: str, value: Json) -> Sample:
    """Return a chat request with a field on one of its turns: the user's is 0, a call 1, ..."""
    call = {"id": "c", "function": {"name": "t", "arguments": "{}"}}
    said: list[Json] = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
        {"role": "system", "content": "x"},
        {"role": "developer", "content": "x"},
        {"role": "assistant", "content": "y"},
    ]
    said[turn][name] = value
    return ("messages", turn, name), {"model": "m", "messages": said}


def chat_call(name: str, value: Json) -> Sample:
    _, document = chat_turn(0, "content", "x")
    document["messages"][1]["tool_calls"][0][name] = value
    return ("messages", 1, "tool_calls", 0, name), document


def function(name: str, value: Json) -> Sample:
    _, document = with_field("tools", [{"type": "function", "function": FUNCTION | {name: value}}])
    return ("tools", 0, "function", name), document


def schema(name: str, value: Json) -> Sample:
    form = {"type": "json_schema", "json_schema": SCHEMA | {name: value}}
    _, document = with_field("response_format", form)
    return ("response_format", "json_schema", name), document


FUNCTION_TOOL = {"type": "function", "function": FUNCTION}
URL = {"url": "data:image/png;base64,iVBORw0KGgo="}
PDF = "data:application/pdf;base64,JVBERi0="

CHAT: tuple[Sample, ...] = (
    with_field("max_tokens", 20),
    with_field("max_completion_tokens", 20),
    with_field("temperature", 0.5),
    with_field("top_p", 0.5),
    with_field("stop", "a"),
    with_field("stream", value=True),
    with_field("stream_options", {"include_usage": True}),
    nested("stream_options", {"include_usage": True}, "include_usage"),
    nested("stream_options", {"include_obfuscation": False}, "include_obfuscation"),
    with_field("tools", [FUNCTION_TOOL]),
    with_field("tool_choice", "none", tools=[FUNCTION_TOOL]),
    with_field("parallel_tool_calls", value=False, tools=[FUNCTION_TOOL]),
    with_field("response_format", {"type": "json_schema", "json_schema": SCHEMA}),
    with_field("reasoning_effort", "low"),
    with_field("user", "u"),
    with_field("safety_identifier", "u"),
    with_field("service_tier", "default"),
    with_field("n", 1),
    with_field("logprobs", value=False),
    with_field("top_logprobs", 0),
    with_field("logit_bias", {}),
    with_field("frequency_penalty", 1),
    with_field("presence_penalty", 1),
    with_field("store", value=False),
    with_field("modalities", ["text"]),
    with_field("verbosity", "low"),
    with_field("metadata", {}),
    with_field("prediction", {}),
    with_field("prompt_cache_key", "k"),
    with_field("prompt_cache_retention", "24h"),
    with_field("seed", 1),
    part("cache_control", EPHEMERAL, type="text", text="x"),
    part("cache_control", EPHEMERAL, type="image_url", image_url=URL),
    part("cache_control", EPHEMERAL, type="file", file={"file_data": PDF}),
    inner("image_url", "detail", "low", **URL),
    inner("file", "file_data", PDF),
    inner("file", "file_id", "f"),
    inner("file", "filename", "n", file_data=PDF),
    chat_turn(0, "name", None),
    chat_turn(2, "name", "t"),
    chat_turn(1, "content", "x"),
    chat_turn(1, "refusal", "no"),
    chat_turn(5, "tool_calls", [{"id": "d", "function": {"name": "t", "arguments": "{}"}}]),
    chat_turn(1, "audio", None),
    chat_turn(1, "function_call", None),
    chat_turn(1, "annotations", []),
    chat_turn(1, "reasoning", "hm"),
    chat_turn(1, "reasoning_content", "hm"),
    chat_turn(1, "reasoning_details", []),
    chat_call("type", "function"),
    chat_call("index", 0),
    function("description", "d"),
    function("parameters", {"type": "object"}),
    function("strict", value=True),
    schema("name", "n"),
    schema("description", "d"),
    schema("strict", value=True),
    (
        ("tools", 0, "cache_control"),
        with_field("tools", [FUNCTION_TOOL | {"cache_control": EPHEMERAL}])[1],
    ),
)

SAMPLES: Mapping[Wire, tuple[Sample, ...]] = {Wire.MESSAGES: MESSAGES, Wire.CHAT: CHAT}
DIRECTIONS = sorted(TRANSLATORS)
CASES = [
    pytest.param(*direction, *sample, id=f"{'_'.join(direction)}-{sample[0][-1]}")
    for direction in DIRECTIONS
    for sample in SAMPLES[direction[0]]
]


@pytest.mark.parametrize(("client", "upstream", "path", "document"), CASES)
def test_field_is_sent_or_refused_or_listed(
    client: Wire, upstream: Wire, path: Path, document: Json, translators: Translators
) -> None:
    translator = translators()[f"{client}_{upstream}"]
    if is_left_out(translator, path, document):
        tables = REQUESTS[client].NOT_NEEDED | table_of(client, upstream)
        assert says_nothing(path, document) or any(names(entry, path) for entry in tables)


@pytest.mark.parametrize(("client", "upstream"), DIRECTIONS)
def test_listed_field_is_left_out(client: Wire, upstream: Wire, translators: Translators) -> None:
    translator = translators()[f"{client}_{upstream}"]
    table = table_of(client, upstream)
    for entry in {**REQUESTS[client].NOT_NEEDED, **table}:
        found = [sample for sample in SAMPLES[client] if names(entry, sample[0])]
        assert any(is_left_out(translator, *sample) for sample in found), entry
    assert all(len(reason) > 20 for reason in table.values())
    assert list(table) == sorted(table)


@pytest.mark.parametrize("client", sorted(REQUESTS))
def test_every_optional_field_has_a_sample(client: Wire) -> None:
    assert {*optional(REQUESTS[client])} <= {path[-1] for path, _ in SAMPLES[client]}


def is_left_out(translator: Translator, path: Path, document: Json) -> bool:
    """Return whether a request is sent as if the field were not there, or had another value."""
    without = copy.deepcopy(document)
    *outer, name = path
    holder = without
    for step in outer:
        holder = holder[step]
    if name in OTHER_VALUES:
        holder[name] = OTHER_VALUES[name]
    else:
        del holder[name]
    try:
        sent = translator.request(json.dumps(document).encode(), "m")
    except RequestError as refusal:
        assert str(refusal).partition(":")[0].rpartition(".")[2] in json.dumps(document)
        return False
    try:
        return sent == translator.request(json.dumps(without).encode(), "m")
    except RequestError:
        return False  # it is needed


def names(entry: str, path: Path) -> bool:
    """Return whether an entry of a table, such as `json_schema.strict`, stands for a field."""
    return f".{entry}." in f".{'.'.join(step for step in path if isinstance(step, str))}."


def says_nothing(path: Path, document: Json) -> bool:
    """Return whether a field has no other value, or tells the gateway alone."""
    value = document
    for step in path:
        value = value[step]
    name = path[-1]
    return value is None or name in SAID_TO_GATEWAY or value in ONLY_VALUES.get(name, ())


def table_of(client: Wire, upstream: Wire) -> Mapping[str, str]:
    table: Mapping[str, str] = import_module(f"gateway.translate.{client}_{upstream}").NOT_NEEDED
    return table


def optional(module: ModuleType) -> Iterator[str]:
    for struct in vars(module).values():
        if isinstance(struct, type) and issubclass(struct, Strict):
            for field in msgspec.structs.fields(struct):
                if not field.required:
                    yield field.encode_name
