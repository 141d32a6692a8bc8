"""An answer of an OpenAI upstream as a JSON answer of the Anthropic Messages API. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.errors import UpstreamError, UpstreamFault
from gateway.translate import usage as counts
from gateway.wire.usage import Usage

_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class MessageAnswer:
    """A whole answer.

    Attributes:
        content: Blocks in Anthropic's form.
        stop_sequence: The client's sequence that ended it; None when not said.
        usage: None when the upstream gave none.
    """

    model: str
    content: tuple[Mapping[str, object], ...]
    stop_reason: str
    stop_sequence: str | None
    usage: Usage | None

    def as_json(self, message_id: str) -> bytes:
        """Return the body of the answer."""
        return msgspec.json.encode(
            {
                "id": message_id,
                "type": "message",
                "role": "assistant",
                "model": self.model,
                "content": self.content,
                "stop_reason": self.stop_reason,
                "stop_sequence": self.stop_sequence,
                "usage": counts.to_messages(self.usage),
            }
        )


def text_block(text: str) -> Mapping[str, object]:
    """Return a text block."""
    return {"type": "text", "text": text}


def thinking_block(thinking: str) -> Mapping[str, object]:
    """Return a thinking block; nobody can sign another model's thinking."""
    return {"type": "thinking", "thinking": thinking, "signature": ""}


def call_block(call_id: str, name: str, tool_input: msgspec.Raw) -> Mapping[str, object]:
    """Return a tool call."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": tool_input}


def clean_call_id(upstream_id: str | None, fallback: str) -> str:
    """Return a call's id in Anthropic's alphabet, so that the conversation can go on anywhere.

    The upstream gets it back in the call and in its result alike, so it need not know it again.
    """
    return _FOREIGN.sub("_", upstream_id) if upstream_id else f"toolu_{fallback}"


def is_object(arguments: str | bytes) -> bool:
    """Return whether a tool's arguments are a complete JSON object."""
    try:
        _members(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def read_input(arguments: str, *, truncated: bool) -> msgspec.Raw | None:
    """Return a call's input; no arguments are an empty object.

    None is a call that the output limit cut off: it cannot be run, so it is left out.

    Raises:
        UpstreamError: The arguments are no JSON object although the model had finished.
    """
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    if is_object(arguments):
        return msgspec.Raw(arguments.encode())
    if truncated:
        return None
    raise UpstreamError(
        UpstreamFault.PROTOCOL, "a tool call's arguments are no JSON object", sent=True
    )
