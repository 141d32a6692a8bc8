"""A whole answer as the JSON of the Anthropic Messages API. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from gateway.translate import usage
from gateway.translate.answer import Answer, Part, Refusal, StopReason, Text, Thinking
from gateway.translate.mint import Mint

_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")


def encode(answer: Answer, mint: Mint) -> bytes:
    """Return the body of an answer."""
    refused = any(isinstance(part, Refusal) for part in answer.parts)
    return msgspec.json.encode(
        {
            "id": message_id(mint),
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": [_block(part, mint) for part in answer.parts],
            "stop_reason": stop_reason(answer.stop_reason, refused=refused),
            "stop_sequence": answer.stop_sequence,
            "usage": usage.to_messages(answer.usage),
        }
    )


def message_id(mint: Mint) -> str:
    """Return an id for an answer."""
    return f"msg_{mint.token()}"


def call_id(upstream_id: str | None, mint: Mint) -> str:
    """Return an id for a call; the upstream's own when there is one."""
    return clean_call_id(upstream_id) if upstream_id else f"toolu_{mint.token()}"


def clean_call_id(upstream_id: str) -> str:
    """Return a call's id in Anthropic's alphabet, so that the conversation can go on anywhere.

    The upstream gets it back in the call and in its result alike, so it need not know it again.
    """
    return _FOREIGN.sub("_", upstream_id)


def stop_reason(reason: StopReason, *, refused: bool) -> StopReason:
    """Return Anthropic's stop reason; `refused` says whether the answer holds a refusal."""
    return StopReason.REFUSAL if refused and reason is StopReason.END_TURN else reason


def _block(part: Part, mint: Mint) -> Mapping[str, object]:
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text}
    if isinstance(part, Thinking):
        # Nobody can sign another model's thinking.
        return {"type": "thinking", "thinking": part.text, "signature": ""}
    made = call_id(part.id, mint)
    return {"type": "tool_use", "id": made, "name": part.name, "input": part.input}
