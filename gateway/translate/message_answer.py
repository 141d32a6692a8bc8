"""A whole answer as the JSON of the Anthropic Messages API. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.translate import usage
from gateway.translate.answer import Answer, Part, Refusal, StopReason, Text, Thinking, ToolCall
from gateway.translate.call_ids import CallIds, clean_call_id
from gateway.translate.mint import Mint
from gateway.translate.unsigned import MARK


def encode(answer: Answer, mint: Mint) -> bytes:
    """Return the body of an answer."""
    refused = any(isinstance(part, Refusal) for part in answer.parts)
    ids = call_ids(mint)
    return msgspec.json.encode(
        {
            "id": message_id(mint),
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": [_block(part, ids) for part in answer.parts if _says_something(part)],
            "stop_reason": stop_reason(answer.stop_reason, refused=refused),
            "stop_sequence": answer.stop_sequence,
            "usage": usage.to_messages(answer.usage),
        }
    )


def message_id(mint: Mint) -> str:
    """Return an id for an answer."""
    return f"msg_{mint.token()}"


def call_ids(mint: Mint) -> CallIds:
    """Return what gives the calls of an answer their ids."""
    return CallIds(mint, "toolu_", clean_call_id)


def stop_reason(reason: StopReason, *, refused: bool) -> StopReason:
    """Return Anthropic's stop reason; `refused` says whether the answer holds a refusal."""
    return StopReason.REFUSAL if refused and reason is StopReason.END_TURN else reason


def _says_something(part: Part) -> bool:
    """Return whether a part is more than blanks, of which Anthropic takes no block back."""
    return isinstance(part, ToolCall) or bool(part.text.strip())


def _block(part: Part, ids: CallIds) -> Mapping[str, object]:
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text}
    if isinstance(part, Thinking):
        # Nobody can sign another model's thinking.
        return {"type": "thinking", "thinking": part.text, "signature": MARK}
    made = ids.take(part.id)
    return {"type": "tool_use", "id": made, "name": part.name, "input": part.input}
