"""The demo upstream answers: text, tools, thinking, and where an answer ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.request import count_tokens

if TYPE_CHECKING:
    from tests.unit.gateway.demo.conftest import Ask, Said

Json = dict[str, Any]  # decoded JSON of our own making
WEATHER: Json = {
    "name": "get_weather",
    "description": "Tells the sky",
    "input_schema": {
        "type": "object",
        "properties": {
            "location": {"type": "string"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 3},
        },
        "required": ["location", "days"],
    },
}
BASH: Json = {
    "name": "Bash",
    "description": "Executes a command",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
    },
}


def test_output_tokens_count_what_was_really_answered(said: Said) -> None:
    reply = said("weather", tools=[WEATHER])
    assert reply.output_tokens == sum(count_tokens(block.text) for block in reply.content)


def test_answer_is_the_same_for_the_same_request(ask: Ask, said: Said) -> None:
    assert ask() == ask()
    assert said("Good evening").content != ask().content


def test_answer_says_it_is_a_demo_and_quotes_the_question(ask: Ask) -> None:
    text = ask().content[0].text
    assert "demo" in text
    assert "“Good morning”" in text


@pytest.mark.parametrize(
    ("text", "tools", "called"),
    [
        ("What is the weather?", [BASH, WEATHER], "get_weather"),
        ("Run the tests", [WEATHER, BASH], "Bash"),
        ("Read it", [{**BASH, "description": "reads a file"}], "Bash"),
        ("Running late", [BASH], None),
        ("Good morning", [BASH], None),
        ("weather", [BASH], None),
        ("weather", [], None),
    ],
)
def test_answer_calls_the_first_fitting_tool(
    said: Said, text: str, tools: list[Json], called: str | None
) -> None:
    reply = said(text, tools=tools)
    last = reply.content[-1]
    assert (last.name or None) == called
    assert reply.stop_reason == ("tool_use" if called else "end_turn")


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "tool", "name": "Bash"}, "Bash"),
        ({"type": "any"}, "get_weather"),
        ({"type": "none"}, ""),
        ({"type": "auto"}, ""),
    ],
)
def test_answer_follows_tool_choice(said: Said, choice: Json, called: str) -> None:
    assert said("Hello", tools=[WEATHER, BASH], tool_choice=choice).content[-1].name == called


def test_answer_to_a_tool_result_is_text(ask: Ask) -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
    text = {"type": "text", "text": "weather"}
    reply = ask(messages=[{"role": "user", "content": [result, text]}], tools=[WEATHER])
    assert [block.kind for block in reply.content] == ["text"]


def test_tool_input_has_the_required_properties_only(said: Said) -> None:
    reply = said("weather", tools=[WEATHER])
    assert json.loads(reply.content[-1].text) == {"location": "Lisbon", "days": 3}


@pytest.mark.parametrize(
    ("thinking", "kinds", "shown"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, ["thinking", "text"], True),
        ({"type": "adaptive"}, ["thinking", "text"], True),
        ({"type": "adaptive", "display": "omitted"}, ["thinking", "text"], False),
        ({"type": "disabled"}, ["text"], True),
        (None, ["text"], True),
    ],
)
def test_answer_thinks_when_asked_to(
    ask: Ask, thinking: Json | None, kinds: list[str], shown: bool
) -> None:
    reply = ask(thinking=thinking)
    assert [block.kind for block in reply.content] == kinds
    assert bool(reply.content[0].text) is shown


def test_answer_follows_a_json_schema(ask: Ask) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    reply = ask(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(reply.content[0].text) == {"title": "demo"}


def test_answer_ends_at_a_stop_sequence(ask: Ask) -> None:
    reply = ask(stop_sequences=["", "no such words", " model", "demo"])
    assert reply.content[0].text == "This is a "
    assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", "demo")


@given(
    max_tokens=st.integers(1, 200),
    text=st.sampled_from(["Hi", "weather 日本 ééé", "run " * 90]),
    thinking=st.sampled_from(
        [None, {"type": "adaptive"}, {"type": "enabled", "display": "omitted"}]
    ),
)
def test_answer_never_exceeds_max_tokens(
    said: Said, max_tokens: int, text: str, thinking: Json | None
) -> None:
    reply = said(text, max_tokens=max_tokens, thinking=thinking, tools=[WEATHER, BASH])
    assert 1 <= reply.output_tokens <= max_tokens
    whole = said(text, max_tokens=10_000, thinking=thinking, tools=[WEATHER, BASH])
    assert (reply.stop_reason == "max_tokens") == (reply.content != whole.content)
