"""What is read of a request, and how long its prompt is taken to be."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest

from gateway.cost.estimate import IMAGE_TOKENS, PDF_PAGE_TOKENS, input_tokens
from gateway.overrides.shape import Shape, read_betas, read_shape, read_stored
from gateway.wire.body import Body
from gateway.wire.http import Head, Header

PNG = b"\x89PNG\r\n\x1a\n"
PDF = b"%PDF-1.7"
BYTES = bytes(range(256)) * 780
"""Two hundred kilobytes of everything."""


def shape(body: dict[str, object], *headers: Header) -> Shape:
    data = json.dumps({"model": "m", **body}).encode()
    return read_shape(Body(data), read_betas(Head(b"POST", b"/v1/messages", headers)))


def test_efforts_of_messages_that_do_not_instruct_are_read() -> None:
    asks = {"role": "user", "content": "a", "output_config": {"effort": "low"}}
    found = shape({"messages": [{"role": "user", "content": "b", "output_config": {}}, asks]})
    assert (found.message_efforts, found.messages, found.system_messages) == (("low",), 2, 0)


def test_messages_request_is_read() -> None:
    body: dict[str, object] = {
        "system": "You are terse.",
        "messages": [
            {"role": "user", "content": "a secret"},
            {"role": "system", "content": "b", "output_config": {"effort": "low"}},
            {"role": "system", "content": "c", "output_config": {"effort": "high"}},
            {"role": "system", "content": "d", "output_config": {"effort": "low"}},
        ],
        "tools": [{"name": "t"}],
        "tool_choice": {"type": "tool", "name": "t"},
        "max_tokens": 5000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "max", "format": {}},
        "temperature": 0.5,
        "top_p": 1,
        "top_k": 3,
    }
    found = shape(body, (b"anthropic-beta", b"a, b"), (b"x", b"y"), (b"anthropic-beta", b"c,,"))
    tokens = found.context_tokens
    assert found == Shape(
        effort="max",
        message_efforts=("low", "high"),
        thinking="enabled",
        thinking_budget=2000,
        betas=("a", "b", "c"),
        max_tokens=5000,
        sampling=("temperature", "top_k"),
        tool_choice="tool",
        tools=1,
        messages=4,
        system_messages=3,
        context_tokens=tokens,
    )
    assert tokens is not None
    assert 80 < tokens < 100
    assert "secret" not in repr(found)


def test_chat_request_is_read() -> None:
    body: dict[str, object] = {
        "messages": [
            {"role": "system", "content": "x"},
            {"role": "developer", "content": "x"},
            {"role": "user", "content": "x"},
            {"role": "developer", "content": "x"},
        ],
        "reasoning_effort": "minimal",
        "max_completion_tokens": 100,
        "max_tokens": 7,
        "tool_choice": "required",
        "temperature": 1,
    }
    found = shape(body)
    assert (found.effort, found.max_tokens, found.tool_choice) == ("minimal", 100, "required")
    assert (found.messages, found.system_messages, found.sampling) == (4, 1, ())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"output_config": "high", "thinking": ["adaptive"], "tool_choice": 1, "messages": {}},
        {"output_config": {"effort": 1}, "thinking": {"type": None, "budget_tokens": "9"}},
        {"max_tokens": True, "tools": "x", "thinking": {"budget_tokens": 1.5}},
        {"max_tokens": 2**60, "thinking": {"budget_tokens": 2**53}, "messages": None},
        {"temperature": None, "top_k": None, "max_completion_tokens": "1"},
    ],
)
def test_what_is_not_said_is_none(body: dict[str, object]) -> None:
    assert shape(body) == Shape(context_tokens=shape(body).context_tokens)


@pytest.mark.parametrize(
    "messages", [[1, 2], [{"role": 1}, {}], [{"output_config": "x"}, {"role": "system"}]]
)
def test_messages_of_other_types_are_counted_only(messages: list[object]) -> None:
    found = shape({"messages": messages})
    assert (found.messages, found.system_messages, found.message_efforts) == (2, None, ())


def test_names_hold_no_text_and_no_secret() -> None:
    key = "sk-ant-0123456789abcdef"
    found = shape(
        {"output_config": {"effort": "x" * 9999}, "thinking": {"type": f"a\nb {key}"}},
        (b"anthropic-beta", key.encode()),
    )
    assert len(found.effort or "") == 200
    assert key not in repr(found)
    assert "\n" not in (found.thinking or "")


def test_stored_shape_is_read_back_also_from_an_older_version() -> None:
    found = Shape(effort="low", betas=("a",), sampling=("top_k",), context_tokens=7)
    assert read_stored(msgspec.json.encode(found)) == found
    old = b'{"effort":"low","thinking":null,"betas":["a"],"max_tokens":1,"tools":2,"messages":3}'
    assert read_stored(old) == Shape(
        effort="low", betas=("a",), max_tokens=1, tools=2, messages=3, context_tokens=None
    )


def test_stored_shape_holds_only_what_was_said() -> None:
    assert msgspec.json.encode(Shape(max_tokens=0, messages=1)) == b'{"max_tokens":0,"messages":1}'


def text(content: object, *, ascii_only: bool = False) -> int:
    document = {"model": "m", "messages": [{"role": "user", "content": content}]}
    return input_tokens(Body(json.dumps(document, ensure_ascii=ascii_only).encode()))


def test_estimate_counts_what_the_model_reads_only() -> None:
    assert input_tokens(Body(b'{"model":"m","metadata":{"x":"' + b"y" * 9000 + b'"}}')) == 1
    assert 1000 < text("word " * 700) < 1030


@pytest.mark.parametrize(
    ("characters", "tokens"),
    # What Anthropic's published tokenizer makes of 1000 characters of such text is in between.
    [("п", (550, 1100)), ("語", (850, 1600)), ("한", (900, 1600)), ("ก", (1400, 1600))],
)
def test_other_scripts_are_counted_by_their_bytes(characters: str, tokens: tuple[int, int]) -> None:
    assert tokens[0] <= text(characters * 1000) <= tokens[1]


def source(payload: bytes, kind: str) -> dict[str, object]:
    data = base64.b64encode(payload + BYTES).decode()
    return {"type": "base64", "media_type": kind, "data": data}


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ([{"type": "image", "source": source(PNG, "image/png")}], IMAGE_TOKENS),
        ([{"type": "image", "source": source(b"\xff\xd8\xff\xe0", "image/jpeg")}], IMAGE_TOKENS),
        ([{"type": "image", "source": source(b"GIF89a", "image/gif")}] * 3, 3 * IMAGE_TOKENS),
        ([{"type": "image", "source": source(b"RIFFx", "image/webp")}], IMAGE_TOKENS),
        ([{"type": "document", "source": source(PDF, "application/pdf")}], 4 * PDF_PAGE_TOKENS),
        (
            [
                {
                    "type": "tool_result",
                    "content": [{"type": "image", "source": source(PNG, "image/png")}],
                }
            ],
            IMAGE_TOKENS,
        ),
        (
            [
                {
                    "type": "image_url",
                    "image_url": {
                        "url": f"data:image/png;base64,{source(PNG, 'image/png')['data']}"
                    },
                }
            ],
            IMAGE_TOKENS,
        ),
    ],
)
def test_files_are_counted_by_what_they_cost(content: object, tokens: int) -> None:
    assert tokens < text(content) < tokens + 150


def test_escaped_slashes_of_a_file_are_no_end() -> None:
    data = json.dumps(
        {"model": "m", "messages": [{"source": source(b"\xff\xd8\xff\xe0", "image/jpeg")}]}
    ).replace("/", "\\/")
    assert IMAGE_TOKENS < input_tokens(Body(data.encode())) < IMAGE_TOKENS + 100


def test_base64_that_is_no_file_is_counted_as_text() -> None:
    signature = base64.b64encode(BYTES[:3000]).decode()
    assert text(f"base64 {signature}") > 1100
