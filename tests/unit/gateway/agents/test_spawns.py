"""What a parent's answer says about its sub-agents, at every split of the stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.agents.spawns import (
    MAX_CALL_BYTES,
    Spawn,
    SpawnReader,
    Started,
    prompt_digest,
    read_spawns,
)

Json = Any  # a parsed document whose shape the assertions state


def spawn(agent_type: str, prompt: str) -> Spawn:
    return Spawn(agent_type, prompt_digest(prompt))


def sse(document: Json) -> bytes:
    return f"event: {document['type']}\ndata: {json.dumps(document)}\n\n".encode()


def tool_start(index: int, name: str, given: Json = None) -> bytes:
    block = {"type": "tool_use", "id": "t", "name": name, "input": given or {}}
    return sse({"type": "content_block_start", "index": index, "content_block": block})


def part(index: int, text: str) -> bytes:
    delta = {"type": "input_json_delta", "partial_json": text}
    return sse({"type": "content_block_delta", "index": index, "delta": delta})


def stop(index: int) -> bytes:
    return sse({"type": "content_block_stop", "index": index})


STREAM = (
    sse({"type": "message_start", "message": {}})
    + tool_start(1, "Agent")
    + tool_start(2, "Task", {"prompt": "whole", "subagent_type": "two"})
    + tool_start(3, "Bash")
    + part(1, '{"description":"d","pro')
    + part(3, '{"prompt":"not an agent"}')
    + part(1, 'mpt":"do \u00e9","subagent_type":"one"}')
    + b": ping\n\n"
    + b"data: {broken tool_use\n\n"
    + stop(2)
    + stop(1)
    + stop(3)
    + tool_start(4, "Agent")
    + part(4, '{"prompt":"no type"}')
    + stop(4)
    + tool_start(5, "Agent")
    + part(5, '{"prompt":""}')
    + stop(5)
    + tool_start(6, "Agent")
    + part(6, "{cut")
    + stop(6)
    + stop(6)
)
SPAWNS = [spawn("two", "whole"), spawn("one", "do é"), spawn("general-purpose", "no type")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_calls_are_found_at_every_split(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    for cut in range(0, len(stream), 3):
        reader = SpawnReader()
        pieces = (reader.feed(stream[:cut]), reader.feed(stream[cut:]))
        assert [one for piece in pieces if piece for one in piece.spawns] == SPAWNS


def test_event_that_completes_a_call_is_located_at_every_split() -> None:
    stream = tool_start(0, "Agent") + part(0, '{"prompt":"p"}') + stop(0) + b": ping\n\n"
    begin, end = stream.index(stop(0)), stream.index(b": ping")
    for cut in range(len(stream) + 1):
        reader = SpawnReader()
        found = [reader.feed(stream[:cut]), reader.feed(stream[cut:])]
        spawns = (spawn("general-purpose", "p"),)
        if cut >= end:
            assert found == [Started(begin, spawns), None]
        else:
            assert found == [None, Started(max(0, begin - cut), spawns)]


def test_stream_without_calls_holds_none() -> None:
    reader = SpawnReader()
    assert reader.feed(sse({"type": "content_block_delta", "delta": {"text": "Agent"}})) is None
    assert reader.feed(b"x" * (MAX_CALL_BYTES + 1)) is None
    found = reader.feed(b"\n\n" + tool_start(0, "Agent", {"prompt": "p"}) + stop(0))
    assert found is not None
    assert found.spawns == (spawn("general-purpose", "p"),)


def test_endless_call_is_not_kept() -> None:
    reader = SpawnReader()
    reader.feed(tool_start(0, "Agent"))
    for _ in range(5):
        reader.feed(part(0, "x" * (MAX_CALL_BYTES // 4)))
    assert reader.feed(stop(0)) is None


@pytest.mark.parametrize(
    ("answer", "spawns"),
    [
        (b"{}", []),
        (b'{"content":[{"type":"tool_use","name":"Agent","input":5}]}', []),
        (b'{"content":"tool_use"}', []),
        (b'{"content":[{"type":"tool_use","name":"Bash","input":{"prompt":"p"}}]}', []),
        (
            b'{"content":[{"type":"text"},{"type":"tool_use","name":"Agent","input":'
            b'{"prompt":"p","subagent_type":"t"}}]}',
            [spawn("t", "p")],
        ),
    ],
)
def test_calls_of_a_whole_answer_are_found(answer: bytes, spawns: list[Spawn]) -> None:
    assert list(read_spawns(answer)) == spawns
