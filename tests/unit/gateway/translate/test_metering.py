"""Tokens, model and terms of translated streams: what the upstream told, whatever is sent on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gateway.translate import Translator
from gateway.wire.stream_meter import StreamMeter
from gateway.wire.usage import Reading, Terms, Usage

Translators = Callable[[], Mapping[str, Translator]]
Told = Mapping[str, object]

ROOT = Path(__file__).parents[3] / "golden" / "translate"


def stream_of(start: Told | None, end: Told | None) -> bytes:
    """Return an Anthropic stream that tells this usage first and last; None tells none."""
    message = {"model": "claude"} | ({} if start is None else {"usage": start})
    ending = {"delta": {"stop_reason": "end_turn"}} | ({} if end is None else {"usage": end})
    events: tuple[Mapping[str, object], ...] = (
        {"type": "message_start", "message": message},
        {"type": "message_delta", **ending},
        {"type": "message_stop"},
    )
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)


@pytest.mark.parametrize(
    ("direction", "name", "usage", "model"),
    [
        ("messages_chat", "text", Usage(8, 5, 0, 0, 12), "gpt-x-2026"),
        ("messages_chat", "usage-first", Usage(8, 5, 0, 0, 12), "gpt-x-2026"),
        ("messages_chat", "usage-every", Usage(9, 2), "gpt-x-2026"),
        ("messages_chat", "usage-none", None, "gpt-x-2026"),
        ("chat_messages", "text", Usage(8, 5, 3, 0, 12), "claude-sonnet-4-5-20250929"),
        ("chat_messages", "cut", Usage(8, 1, 3, 0, 12), "claude-sonnet-4-5-20250929"),
        ("chat_messages", "no-usage", None, "claude"),
        ("messages_responses", "text", Usage(8, 5, 0, 0, 12), "gpt-x-codex"),
        ("messages_responses", "cut", None, "gpt-x-codex"),
        ("chat_responses", "text", Usage(8, 5, 0, 0, 12), "gpt-x-codex"),
        ("messages_ollama", "text", Usage(26, 298), "qwen3:8b"),
        ("chat_ollama", "text", Usage(26, 298), "qwen3:8b"),
        ("chat_ollama", "cut", None, "qwen3:8b"),
        ("chat_ollama", "no-counts", None, "qwen3:8b"),
    ],
)
def test_stream_is_metered_as_the_upstream_told(
    direction: str, name: str, usage: Usage | None, model: str, translators: Translators
) -> None:
    stream = translators()[direction].stream()
    (source,) = (ROOT / direction).glob(f"{name}.stream.in.*")
    stream.feed(source.read_bytes())
    assert (stream.reading().usage, stream.reading().model) == (usage, model)


@pytest.mark.parametrize(
    ("start", "end", "usage"),
    [
        (None, None, None),
        (None, {"output_tokens": 5}, Usage(0, 5)),
        ({"input_tokens": 8, "output_tokens": 1}, None, Usage(8, 1)),
        ({"input_tokens": 8, "output_tokens": 9}, {"output_tokens": 5}, Usage(8, 5)),
        ({"input_tokens": 8}, {"input_tokens": 6, "output_tokens": 5}, Usage(8, 5)),
        ({"input_tokens": 8}, {"input_tokens": -1}, Usage(8)),
        ({"input_tokens": 8, "output_tokens": 1}, {"input_tokens": 8}, Usage(8, 1)),
        (
            {
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_1h_input_tokens": 30},
            },
            {"cache_creation_input_tokens": 30, "output_tokens": 5},
            Usage(0, 5, 0, 30),
        ),
        (
            {"input_tokens": 8, "service_tier": "priority", "inference_geo": "us"},
            {"output_tokens": 5},
            Usage(8, 5, terms=Terms("priority", geo="us")),
        ),
        (
            {"input_tokens": 8},
            {"output_tokens": 5, "server_tool_use": {"web_search_requests": 2}},
            Usage(8, 5, web_searches=2),
        ),
    ],
)
def test_translated_stream_is_billed_like_one_passed_on(
    start: Told | None, end: Told | None, usage: Usage | None, translators: Translators
) -> None:
    data = stream_of(start, end)
    meter, stream = StreamMeter(), translators()["chat_messages"].stream()
    meter.feed(data)
    stream.feed(data)
    assert stream.reading() == Reading(usage, "claude")
    assert meter.reading().usage == usage


def chunks(first: str | None, last: str | None) -> bytes:
    """Return a chat stream whose first chunk and whose usage name these service tiers."""
    roles = {"index": 0, "delta": {"role": "assistant", "content": "a"}}
    ends = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events: tuple[Told, ...] = (
        {"model": "m", "service_tier": first, "choices": [roles]},
        {"model": "m", "choices": [ends]},
        {"model": "m", "service_tier": last, "choices": [], "usage": {"prompt_tokens": 8}},
    )
    data = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)
    return data + b"data: [DONE]\n\n"


def states(first: str | None, last: str | None) -> bytes:
    """Return a Responses stream whose first state and whose last name these service tiers."""
    done: Told = {"status": "completed", "output": [], "usage": {"input_tokens": 8}}
    events: tuple[Told, ...] = (
        {"type": "response.created", "response": {"model": "m", "service_tier": first}},
        {"type": "response.completed", "response": {"service_tier": last, **done}},
    )
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)


@pytest.mark.parametrize(
    ("first", "last", "tier"),
    [
        ("auto", "flex", "flex"),
        ("flex", "flex", "flex"),
        ("priority", None, "priority"),
        ("priority", "default", None),
        ("auto", "default", None),
        (None, None, None),
    ],
)
def test_stream_was_served_in_the_last_tier_told(
    first: str | None, last: str | None, tier: str | None, translators: Translators
) -> None:
    expected = Reading(Usage(8, terms=Terms(tier=tier)), "m")
    for direction, told in (("messages_chat", chunks), ("messages_responses", states)):
        data = told(first, last)
        for cut in range(0, len(data) + 1, 7):
            stream = translators()[direction].stream()
            stream.feed(data[:cut])
            stream.feed(data[cut:])
            assert stream.reading() == expected, (direction, cut)
