"""Which agent a request comes from, by every signal and their order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.agent_links import (
    MAX_CALL_BYTES,
    MAX_SAME_PROMPT,
    MAX_WAITING,
    AgentLinks,
    Spawn,
    SpawnReader,
    read_spawns,
)
from gateway.agents import (
    MAX_NAME_CHARS,
    Agent,
    AgentSource,
    Definition,
    DefinitionIndex,
    identify,
    parse_definition,
)
from gateway.definitions import MAX_FILE_BYTES, read_definitions
from gateway.wire.body import Body
from gateway.wire.http import Request

Json = Any  # a parsed document whose shape the assertions state

REVIEWER = "Read the change and say what is wrong with it.\n\nBe brief."
LONG = "Review everything with the greatest care, and then review it all once more, slowly."
INDEX = DefinitionIndex(
    [
        Definition("reviewer", REVIEWER),
        Definition("careful", LONG),
        Definition("most-careful", f"{LONG}\n\nReally."),
        Definition("twin-a", "The same text."),
        Definition("twin-b", "The same text."),
        Definition("twice", "In two folders."),
        Definition("twice", "In two folders."),
    ]
)
SUB = {"x-claude-code-agent-id": "a1", "x-claude-code-session-id": "s1"}
SPAWN = Spawn("rust-specialist", "do it")


def request(headers: dict[str, str]) -> Request:
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Request(b"POST", b"/v1/messages", pairs, b"", 0.0)


def body(**fields: Json) -> Body:
    return Body(json.dumps({"model": "m"} | fields).encode())


def told(prompt: Json) -> list[Json]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": "ok"}]


def blocks(*texts: str) -> list[Json]:
    return [{"type": "text", "text": text} for text in texts]


def links(*spawns: Spawn) -> AgentLinks:
    found = AgentLinks()
    found.observe("s1", spawns, 0.0)
    return found


MARKED = "Hello.\nYou are the test-engineer agent, and you test."
CASES: list[tuple[dict[str, str], dict[str, Json], str, str]] = [
    ({"x-agent-type": "qa"} | SUB, {"agent_type": "b", "system": REVIEWER}, "qa", "header"),
    (SUB, {"agent_type": "b", "system": REVIEWER}, "b", "body"),
    (SUB | {"x-claude-code-agent-type": "Explore"}, {"messages": told("do it")}, "Explore", "hint"),
    (
        SUB | {"x-claude-code-agent-type": "custom"},
        {"messages": told("do it"), "system": REVIEWER},
        "rust-specialist",
        "parent",
    ),
    (SUB, {"messages": told(blocks("first", "do it"))}, "rust-specialist", "parent"),
    (SUB, {"messages": told(blocks("do it", "last"))}, "subagent", "thread"),
    (SUB, {"messages": [{"role": "system", "content": "x"}, *told("do it")]},
     "rust-specialist", "parent"),
    (SUB, {"messages": told([])}, "subagent", "thread"),
    (SUB, {"messages": told(5)}, "subagent", "thread"),
    (SUB, {"messages": []}, "subagent", "thread"),
    (SUB, {}, "subagent", "thread"),
    (SUB | {"x-claude-code-session-id": "s2"}, {"messages": told("do it")}, "subagent", "thread"),
    (SUB, {"messages": told("no"), "system": blocks("bill", f"\n{REVIEWER}\n\nMore.")},
     "reviewer", "definition"),
    ({}, {"system": REVIEWER + "\nand more"}, "reviewer", "definition"),
    ({}, {"system": REVIEWER + "and more"}, "main", "thread"),
    ({}, {"system": f"{LONG}\n\nReally. Yes."}, "most-careful", "definition"),
    ({}, {"system": f"{LONG}\n\nNot."}, "careful", "definition"),
    ({}, {"system": f"Note: {LONG}"}, "main", "thread"),
    ({}, {"system": "The same text."}, "main", "thread"),
    ({}, {"system": "In two folders."}, "twice", "definition"),
    ({}, {"system": MARKED}, "test-engineer", "marker"),
    ({}, {"system": [{"type": "image"}, *blocks("x", MARKED)]}, "test-engineer", "marker"),
    ({}, {"system": "You are the agent."}, "main", "thread"),
    ({}, {"system": "You are the best agents"}, "main", "thread"),
    ({}, {"system": "say: You are the qa agent"}, "main", "thread"),
    ({}, {"system": "qa ios react security testing"}, "main", "thread"),
    ({}, {"system": 7}, "main", "thread"),
    ({}, {"system": "You are the \ud83d\ude00 agent"}, "main", "thread"),
    ({}, {}, "main", "thread"),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "fields", "name", "source"), CASES)
def test_strongest_signal_names_the_agent(
    headers: dict[str, str], fields: dict[str, Json], name: str, source: str
) -> None:
    found = identify(request(headers), body(**fields), INDEX, links(SPAWN), 1.0)
    assert found == Agent(name, AgentSource(source))


def test_name_sticks_for_the_later_turns_of_an_agent() -> None:
    known = links(SPAWN)
    first = identify(request(SUB), body(messages=told("do it")), INDEX, known, 1.0)
    later = identify(request(SUB), body(messages=told("other"), system=REVIEWER), INDEX, known, 2.0)
    assert later == first == Agent("rust-specialist", AgentSource.PARENT)
    sibling = SUB | {"x-claude-code-agent-id": "a2"}
    other = identify(request(sibling), body(messages=told("do it")), INDEX, known, 2.0)
    assert other.type == "subagent", "a call is claimed once"


def test_unnamed_agent_is_named_when_a_later_signal_comes() -> None:
    known = AgentLinks()
    assert identify(request(SUB), body(), INDEX, known, 1.0).type == "subagent"
    named = identify(request(SUB), body(system=REVIEWER), INDEX, known, 2.0)
    assert named == Agent("reviewer", AgentSource.DEFINITION)


def test_name_is_short_and_holds_no_secret() -> None:
    long = identify(request({"x-agent-type": "a" * 999}), body(), INDEX, AgentLinks(), 0.0)
    assert len(long.type) == MAX_NAME_CHARS
    secret = identify(request({}), body(agent_type="sk-ant-abcdefgh"), INDEX, AgentLinks(), 0.0)
    assert "abcdefgh" not in secret.type


@pytest.mark.parametrize(
    ("text", "definition"),
    [
        ("---\nname: qa\ntools: x\n---\n\nTest.\n", Definition("qa", "Test.")),
        ("\ufeff---\r\nname: 'qa'  # x\r\n---\r\nA\r\nB", Definition("qa", "A\nB")),
        ("---\ndescription: name\n---\nTest.", Definition("file", "Test.")),
        ("Only text.", Definition("file", "Only text.")),
        ("---\nname: qa\nno end", Definition("file", "---\nname: qa\nno end")),
        ("---\nname: qa\n---\n  \n", None),
        ("", None),
    ],
)
def test_definition_file_is_a_name_and_a_text(text: str, definition: Definition | None) -> None:
    assert parse_definition("file", text) == definition


def test_definitions_are_read_from_folders(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.md").write_text("A text.")
    (tmp_path / "b.md").write_text("---\nname: bee\n---\nB text.")
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "c.txt").write_text("No definition.")
    (tmp_path / "bad.md").write_bytes(b"\xff")
    (tmp_path / "big.md").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    found = read_definitions([tmp_path, tmp_path / "absent"])
    assert set(found) == {Definition("a", "A text."), Definition("bee", "B text.")}
    assert [word in caplog.text for word in ("bad.md", "big.md", "absent")] == [True] * 3


def test_too_many_definition_files_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.definitions.MAX_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.md").write_text(name)
    assert len(read_definitions([tmp_path])) == 2
    assert "more than 2 files" in caplog.text


# -- what a parent's answer says


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
SPAWNS = [Spawn("two", "whole"), Spawn("one", "do é"), Spawn("general-purpose", "no type")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_calls_are_found_at_every_split(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    for cut in range(0, len(stream), 3):
        reader = SpawnReader()
        assert [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])] == SPAWNS


def test_stream_without_calls_holds_none() -> None:
    reader = SpawnReader()
    assert reader.feed(sse({"type": "content_block_delta", "delta": {"text": "Agent"}})) == ()
    assert reader.feed(b"x" * (MAX_CALL_BYTES + 1)) == ()
    assert reader.feed(b"\n\n" + tool_start(0, "Agent", {"prompt": "p"}) + stop(0)) == (
        Spawn("general-purpose", "p"),
    )


def test_endless_call_is_not_kept() -> None:
    reader = SpawnReader()
    reader.feed(tool_start(0, "Agent"))
    for _ in range(5):
        reader.feed(part(0, "x" * (MAX_CALL_BYTES // 4)))
    assert reader.feed(stop(0)) == ()


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
            [Spawn("t", "p")],
        ),
    ],
)
def test_calls_of_a_whole_answer_are_found(answer: bytes, spawns: list[Spawn]) -> None:
    assert list(read_spawns(answer)) == spawns


def test_children_with_one_prompt_take_their_calls_in_order() -> None:
    known = links(Spawn("a", "p"), Spawn("b", "p"))
    claims = [known.claim(("s1", str(n)), "p", 1.0) for n in range(3)]
    assert claims == ["a", "b", None]


@pytest.mark.parametrize(
    ("fill", "claimed"),
    [
        (lambda known: known.observe("s1", [Spawn("t", "p")], 0.0), None),
        (lambda known: known.observe("s1", [Spawn("t", "p")], 50.0), "t"),
        (lambda known: [known.observe(f"s{n}", [SPAWN], 50.0) for n in range(2, 6)], None),
    ],
    ids=["expired", "fresh", "too-many-sessions"],
)
def test_calls_expire_and_are_bounded(
    fill: Callable[[AgentLinks], None], claimed: str | None
) -> None:
    known = AgentLinks(ttl_s=100, max_sessions=3, max_names=2)
    known.observe("s1", [Spawn("t", "p")], 0.0)
    fill(known)
    assert known.claim(("s1", "a"), "p", 120.0) == claimed


def test_calls_of_one_session_are_bounded() -> None:
    known = links(*(Spawn("t", "p") for _ in range(MAX_SAME_PROMPT + 5)))
    claims = [known.claim(("s1", str(n)), "p", 1.0) for n in range(MAX_SAME_PROMPT + 5)]
    assert claims.count("t") == MAX_SAME_PROMPT
    known = links(*(Spawn("t", str(n)) for n in range(MAX_WAITING + 1)))
    assert known.claim(("s1", "a"), "0", 1.0) is None
    assert known.claim(("s1", "b"), "1", 1.0) == "t"


def test_names_are_forgotten_when_unused_or_too_many() -> None:
    known = AgentLinks(ttl_s=10, max_names=2)
    for name in "abc":
        known.remember(("s", name), (name, "hint"), 0.0)
    assert [known.name(("s", name), 5.0) for name in "abc"] == [None, ("b", "hint"), ("c", "hint")]
    assert known.name(("s", "b"), 14.0) == ("b", "hint"), "each use counts"
    assert known.name(("s", "c"), 16.0) is None
