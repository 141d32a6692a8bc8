"""Which agent a request comes from, by every signal and their order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.agents.definitions import MAX_FILE_BYTES, read_definitions
from gateway.agents.identity import (
    Agent,
    AgentSource,
    Definition,
    DefinitionIndex,
    claims,
    first_prompt,
    identify,
    parse_definition,
    sub_agent,
)
from gateway.agents.links import Key
from gateway.overrides.shape import MAX_NAME_CHARS
from gateway.wire.body import Body
from gateway.wire.http import Head, Request

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
LINKED = Agent("rust-specialist", AgentSource.PARENT)


def request(headers: dict[str, str]) -> Request:
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Request(Head(b"POST", b"/v1/messages", pairs), b"", 0.0)


def body(**fields: Json) -> Body:
    return Body(json.dumps({"model": "m"} | fields).encode())


def told(prompt: Json) -> list[Json]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": "ok"}]


def blocks(*texts: str) -> list[Json]:
    return [{"type": "text", "text": text} for text in texts]


MARKED = "Hello.\nYou are the test-engineer agent, and you test."
CUSTOM = SUB | {"x-claude-code-agent-type": "custom"}
CASES: list[tuple[dict[str, str], dict[str, Json], Agent | None, str, str]] = [
    ({"x-agent-type": "qa"} | SUB, {"agent_type": "b", "system": REVIEWER}, LINKED, "qa", "header"),
    (SUB, {"agent_type": "b", "system": REVIEWER}, LINKED, "b", "body"),
    (SUB | {"x-claude-code-agent-type": "Explore"}, {"system": REVIEWER}, None, "Explore", "hint"),
    (SUB | {"x-claude-code-agent-type": "Explore"}, {}, LINKED, "rust-specialist", "parent"),
    (CUSTOM, {"system": REVIEWER}, LINKED, "rust-specialist", "parent"),
    (CUSTOM, {"system": REVIEWER}, None, "reviewer", "definition"),
    (SUB, {}, None, "subagent", "thread"),
    (SUB, {"system": blocks("bill", f"\n{REVIEWER}\n\nMore.")}, None, "reviewer", "definition"),
    ({}, {"system": REVIEWER + "\nand more"}, None, "reviewer", "definition"),
    ({}, {"system": REVIEWER + "and more"}, None, "main", "thread"),
    ({}, {"system": f"{LONG}\n\nReally. Yes."}, None, "most-careful", "definition"),
    ({}, {"system": f"{LONG}\n\nNot."}, None, "careful", "definition"),
    ({}, {"system": f"Note: {LONG}"}, None, "main", "thread"),
    ({}, {"system": "The same text."}, None, "main", "thread"),
    ({}, {"system": "In two folders."}, None, "twice", "definition"),
    ({}, {"system": MARKED}, None, "test-engineer", "marker"),
    ({}, {"system": [{"type": "image"}, *blocks("x", MARKED)]}, None, "test-engineer", "marker"),
    ({}, {"system": "You are the agent."}, None, "main", "thread"),
    ({}, {"system": "You are the best agents"}, None, "main", "thread"),
    ({}, {"system": "say: You are the qa agent"}, None, "main", "thread"),
    ({}, {"system": "qa ios react security testing"}, None, "main", "thread"),
    ({}, {"system": 7}, None, "main", "thread"),
    ({}, {"system": "You are the \ud83d\ude00 agent"}, None, "main", "thread"),
    ({}, {}, None, "main", "thread"),
]


@pytest.mark.parametrize(("headers", "fields", "linked", "name", "source"), CASES)
def test_strongest_signal_names_the_agent(
    headers: dict[str, str], fields: dict[str, Json], linked: Agent | None, name: str, source: str
) -> None:
    found = identify(claims(request(headers).head), body(**fields), INDEX, linked)
    assert found == Agent(name, AgentSource(source))


@pytest.mark.parametrize(
    ("headers", "fields", "key"),
    [
        (SUB, {}, Key("s1", "a1")),
        ({"x-claude-code-agent-id": "a1"}, {}, Key("", "a1")),
        ({"x-claude-code-session-id": "s1"}, {}, None),
        (SUB | {"x-agent-type": "qa"}, {}, None),
        (SUB, {"agent_type": "qa"}, None),
    ],
)
def test_only_a_sub_agent_without_an_explicit_name_is_looked_up(
    headers: dict[str, str], fields: dict[str, Json], key: Key | None
) -> None:
    assert sub_agent(claims(request(headers).head), body(**fields)) == key


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, False), (CUSTOM, False), (SUB | {"x-claude-code-agent-type": "Plan"}, True)],
)
def test_hint_of_a_custom_agent_says_nothing(headers: dict[str, str], expected: bool) -> None:
    assert (claims(request(headers).head).hint is not None) is expected


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        (told("do it"), "do it"),
        (told(blocks("first", "do it")), "do it"),
        (told(blocks("do it", "")), None),
        ([{"role": "system", "content": "x"}, *told("do it")], "do it"),
        (told([]), None),
        (told(5), None),
        ([], None),
        (None, None),
    ],
)
def test_prompt_of_a_child_ends_its_first_message(messages: Json, prompt: str | None) -> None:
    assert first_prompt(body(messages=messages)) == prompt


def test_name_is_short_and_holds_no_secret() -> None:
    long = identify(claims(request({"x-agent-type": "a" * 999}).head), body(), INDEX)
    assert len(long.type) == MAX_NAME_CHARS
    secret = identify(claims(request({}).head), body(agent_type="sk-ant-abcdefgh"), INDEX)
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
    monkeypatch.setattr("gateway.agents.definitions.MAX_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.md").write_text(name)
    assert len(read_definitions([tmp_path])) == 2
    assert "more than 2 files" in caplog.text
