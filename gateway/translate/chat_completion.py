"""A whole answer as an OpenAI chat completion. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.translate import usage
from gateway.translate.answer import Answer, Refusal, StopReason, Text, Thinking, ToolCall
from gateway.translate.call_ids import CallIds, unchanged
from gateway.translate.mint import Mint

FINISH_REASONS: Mapping[StopReason, str] = {
    StopReason.END_TURN: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.TOOL_USE: "tool_calls",
    StopReason.MAX_TOKENS: "length",
    StopReason.CONTEXT_WINDOW: "length",
    StopReason.PAUSE_TURN: "length",
    StopReason.REFUSAL: "content_filter",
}
"""OpenAI's finish reason. A model of OpenAI that refuses says `stop`, and why as its `refusal`."""


def encode(answer: Answer, mint: Mint) -> bytes:
    """Return the body of an answer."""
    document: dict[str, object] = {
        "id": completion_id(mint),
        "object": "chat.completion",
        "created": int(mint.now()),
        "model": answer.model,
        "choices": [_choice(answer, mint)],
    }
    if answer.usage is not None:
        document["usage"] = usage.to_chat(answer.usage)
    return msgspec.json.encode(document)


def completion_id(mint: Mint) -> str:
    """Return an id for an answer."""
    return f"chatcmpl-{mint.token()}"


def call_ids(mint: Mint) -> CallIds:
    """Return what gives the calls of an answer their ids."""
    return CallIds(mint, "call_", unchanged)


def _choice(answer: Answer, mint: Mint) -> Mapping[str, object]:
    return {
        "index": 0,
        "message": _said(answer, mint),
        "logprobs": None,
        "finish_reason": FINISH_REASONS[answer.stop_reason],
    }


def _said(answer: Answer, mint: Mint) -> Mapping[str, object]:
    parts = answer.parts
    text = "".join(part.text for part in parts if isinstance(part, Text))
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    thinking = "".join(part.text for part in parts if isinstance(part, Thinking))
    ids = call_ids(mint)
    calls = [_call(part, ids) for part in parts if isinstance(part, ToolCall)]
    said: dict[str, object] = {
        "role": "assistant",
        "content": text or (None if calls else ""),
        "refusal": refusal or None,
    }
    if thinking:
        said["reasoning_content"] = thinking
    if calls:
        said["tool_calls"] = calls
    return said


def _call(call: ToolCall, ids: CallIds) -> Mapping[str, object]:
    function = {"name": call.name, "arguments": bytes(call.input).decode()}
    return {"id": ids.take(call.id), "type": "function", "function": function}
