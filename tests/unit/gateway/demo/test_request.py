"""The demo upstream reads a request: what a prompt costs, and what is refused."""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from gateway.demo.request import IMAGE_TOKENS, count_tokens, parse
from gateway.demo.usage import InputUsage
from gateway.errors import RequestError

if TYPE_CHECKING:
    from tests.unit.gateway.demo.conftest import Ask, Body

Json = dict[str, Any]  # decoded JSON of our own making


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("ééé", 2), ("日本", 2)]
)
def test_count_tokens_is_a_quarter_of_the_bytes_rounded_up(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 3),
        ({"system": "x" * 9}, 3 + 3),
        ({"system": [{"type": "text", "text": "x" * 9}, {"type": "text", "text": "y"}]}, 3 + 3 + 1),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            IMAGE_TOKENS,
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "content": "12345"},
                            {"type": "tool_result", "content": [{"type": "text", "text": "1"}]},
                        ],
                    }
                ]
            },
            2 + 1,
        ),
        (
            {"tools": [{"name": "a", "input_schema": {}}]},
            3 + ceil(len('{"input_schema":{},"name":"a"}') / 4),
        ),
        (
            {"messages": [{"role": "system", "content": "xxxx"}, {"role": "user", "content": "y"}]},
            2,
        ),
    ],
)
def test_input_tokens_count_every_part_of_the_prompt(ask: Ask, fields: Json, tokens: int) -> None:
    usage = ask(**fields).usage
    assert usage == InputUsage(plain=tokens, written_5m=0, written_1h=0, read=0)


MARKED = {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (b"", 400, "valid JSON"),
        (b"[]", 400, "Expected `object`"),
        (b"\xff", 400, "valid JSON"),
        (b'{"system":[{"a":' + b"[" * 200_000, 400, "valid JSON"),
        ({"model": None}, 400, "model: Field required"),
        ({"messages": None}, 400, "messages: Field required"),
        ({"messages": []}, 400, "at least one message"),
        ({"max_tokens": None}, 400, "max_tokens: Field required"),
        ({"max_tokens": 0}, 400, "greater than or equal to 1"),
        ({"max_tokens": "many"}, 400, "max_tokens"),
        ({"cache_control": {"type": "ephemeral", "ttl": "2d"}}, 400, "5m"),
        ({"cache_control": {"type": "ephemeral", "ttl": []}}, 400, "5m"),
        ({"system": [MARKED] * 5}, 400, "maximum of 4"),
    ],
)
def test_parse_refuses_what_the_provider_refuses(
    body: Body, sent: bytes | Json, status: int, words: str
) -> None:
    with pytest.raises(RequestError, match=re.escape(words)) as caught:
        parse(sent if isinstance(sent, bytes) else body(**sent))
    assert (caught.value.status, caught.value.kind) == (status, "invalid_request_error")


def test_parse_for_counting_needs_no_max_tokens(body: Body) -> None:
    assert parse(body(max_tokens=None), counting=True).max_tokens is None


def test_parse_accepts_what_real_clients_send(body: Body) -> None:
    prompt = parse(
        body(
            metadata={"user_id": "{}"},
            thinking={"type": "adaptive", "display": "omitted"},
            context_management={"edits": []},
            output_config={"effort": "medium"},
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "Read the file"}]},
                {"role": "system", "content": "note", "output_config": {"effort": "low"}},
            ],
            tools=[
                {"name": "Bash", "input_schema": {}},
                {"name": "get_weather", "input_schema": {}, "defer_loading": True},
                {"type": "web_search", "name": "s"},
            ],
        )
    )
    assert prompt.asked == "Read the file"
    assert [tool.name for tool in prompt.tools] == ["Bash"]
