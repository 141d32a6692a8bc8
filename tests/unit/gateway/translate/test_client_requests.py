"""What a real client sends can be put to an upstream of every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.translate import TRANSLATORS, Wire

Json = Any  # a request of the client's

FOLDER = Path(__file__).parents[3] / "data" / "client-requests"
UPSTREAMS = (Wire.CHAT, Wire.RESPONSES, Wire.OLLAMA)


def recorded() -> dict[str, Json]:
    """Return the bodies of all requests for an answer; a text in them says how long it was."""
    found = {path.stem: json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}
    return {
        name: one["body"]
        for name, one in found.items()
        if one["method"] == "POST" and one["path"].partition("?")[0] == "/v1/messages"
    }


BODIES = recorded()


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("name", BODIES)
def test_request_of_the_client_is_translated_whole(name: str, upstream: Wire) -> None:
    body = BODIES[name]
    sent = json.loads(TRANSLATORS[Wire.MESSAGES, upstream].request(json.dumps(body).encode(), "m"))
    assert sent["model"] == "m"
    assert sent.get("stream", False) is body.get("stream", False)
    assert names(sent.get("tools", [])) == names(body["tools"])
    assert body["max_tokens"] in [*sent.values(), *sent.get("options", {}).values()]
    assert calls(sent) == calls(body)


def test_all_requests_for_an_answer_are_there() -> None:
    assert len(BODIES) >= 24


def names(tools: Json) -> list[str]:
    return [tool.get("function", tool)["name"] for tool in tools]


def calls(document: Json) -> int:
    """Return how many tool calls stand in a request of any format."""
    if "input" in document:
        return sum(item["type"] == "function_call" for item in document["input"])
    turns = [turn for turn in document["messages"] if turn["role"] == "assistant"]
    blocks = [block for turn in turns for block in turn["content"] or () if block_is_call(block)]
    return len(blocks) + sum(len(turn.get("tool_calls", ())) for turn in turns)


def block_is_call(block: Json) -> bool:
    return isinstance(block, dict) and block["type"] == "tool_use"
