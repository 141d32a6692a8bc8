"""The demo upstream streams: the same as the whole answer, by the grammar of the events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.answer import Answer, as_events, as_json

if TYPE_CHECKING:
    from tests.unit.gateway.demo.conftest import Ask, Said

Json = dict[str, Any]  # decoded JSON of our own making
WEATHER: Json = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"location": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["location", "days"],
    },
}
CASES: list[Json] = [
    {},
    {"thinking": {"type": "adaptive"}},
    {"thinking": {"type": "adaptive", "display": "omitted"}, "max_tokens": 20},
    {"messages": [{"role": "user", "content": "weather"}], "tools": [WEATHER]},
    {"tools": [WEATHER], "tool_choice": {"type": "any"}, "max_tokens": 1},
    {"stop_sequences": ["This"]},
]


def events(reply: Answer) -> list[Json]:
    found = []
    for raw in as_events(reply):
        match = re.fullmatch(rb"event: (\w+)\ndata: ([^\n]+)\n\n", raw)
        assert match is not None, raw
        data = json.loads(match[2])
        assert data["type"] == match[1].decode()
        found.append(data)
    return found


def assembled(stream: Iterable[Json]) -> Json:
    """Put a message together from its events, as a client does."""
    message: Json = {}
    for event in stream:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(dict(event["content_block"]))
                partial = ""
            case "content_block_delta":
                block = message["content"][event["index"]]
                delta = event["delta"]
                if delta["type"] == "input_json_delta":
                    partial += delta["partial_json"]
                    continue
                key = delta["type"].removesuffix("_delta")
                block[key] += delta[key]
            case "content_block_stop":
                if message["content"][event["index"]]["type"] == "tool_use":
                    message["content"][event["index"]]["input"] = json.loads(partial)
            case "message_delta":
                message |= event["delta"]
                message["usage"] = event["usage"]
    return message


@pytest.mark.parametrize("fields", CASES)
def test_stream_says_the_same_as_the_json_answer(ask: Ask, fields: Json) -> None:
    reply = ask(**fields)
    assert assembled(events(reply)) == json.loads(as_json(reply))


@pytest.mark.parametrize("fields", CASES)
def test_stream_follows_the_grammar(ask: Ask, fields: Json) -> None:
    stream = events(ask(**fields))
    kinds = " ".join(event["type"] for event in stream)
    block = r"content_block_start( content_block_delta)* content_block_stop "
    assert re.fullmatch(rf"message_start ping ({block})*message_delta message_stop", kinds)
    indexes = [event["index"] for event in stream if "index" in event]
    assert indexes == sorted(indexes)
    opening = stream[0]["message"]
    assert (opening["content"], opening["stop_reason"]) == ([], None)
    assert opening["usage"]["output_tokens"] == 1
    assert stream[-2]["usage"]["input_tokens"] == opening["usage"]["input_tokens"]


def test_stream_cuts_tool_input_into_fragments(said: Said) -> None:
    stream = events(said("weather", tools=[WEATHER]))
    pieces = [
        event["delta"]["partial_json"]
        for event in stream
        if event.get("delta", {}).get("type") == "input_json_delta"
    ]
    assert pieces[0] == ""
    assert len(pieces) > 3


@given(st.text(max_size=300))
def test_stream_loses_no_character(said: Said, text: str) -> None:
    reply = said(text or "x")
    assert assembled(events(reply))["content"][0]["text"] == reply.content[0].text
