"""Write one answer as a stream of OpenAI chat completion chunks. Pure."""

from __future__ import annotations

import msgspec

from gateway.translate import chat_completion, error_bodies
from gateway.translate import usage as counts
from gateway.translate.answer import MAX_CALLS, StopReason, broken
from gateway.translate.error_bodies import Fault
from gateway.translate.mint import Mint
from gateway.wire.usage import Usage

_encode = msgspec.json.encode
_CHUNK = b'data: %b{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]}\n\n'
_NULL = b"null"


class _Call:
    """A tool call that was begun."""

    __slots__ = ("number", "sent")

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent = False  # whether any of its arguments was


class ChatChunks:
    """Collects chunks until they are taken.

    Attributes:
        over: Whether the last chunk was written.
    """

    __slots__ = ("_calls", "_head", "_ids", "_mint", "_model", "_out", "_trailing_usage", "over")

    def __init__(self, mint: Mint, *, trailing_usage: bool) -> None:
        """Begin.

        Args:
            trailing_usage: Whether the client asked for the chunk that carries the usage.
        """
        self.over = False
        self._mint, self._trailing_usage = mint, trailing_usage
        self._out: list[bytes] = []
        self._head = b""
        self._model = ""
        self._calls: dict[int, _Call] = {}
        self._ids = chat_completion.call_ids(mint)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def start(self, model: str, usage: Usage | None) -> None:
        """Open the answer, once; the usage waits for its end."""
        del usage
        if not self._head:
            self._model = model
            self._chunk(b'{"role":"assistant","content":""}')

    def text(self, text: str) -> None:
        """Add to the answer's text."""
        if text:
            self._chunk(b'{"content":' + _encode(text) + b"}")

    def refusal(self, text: str) -> None:
        """Add to the refusal."""
        if text:
            self._chunk(b'{"refusal":' + _encode(text) + b"}")

    def thinking(self, text: str) -> None:
        """Add to the thinking, by the name that servers other than OpenAI's use for it."""
        if text:
            self._chunk(b'{"reasoning_content":' + _encode(text) + b"}")

    def call(self, key: int, call_id: str | None, name: str) -> None:
        """Begin a tool call. Raises UpstreamError when there are too many."""
        if len(self._calls) >= MAX_CALLS:
            raise broken("too many tool calls")
        call = self._calls[key] = _Call(len(self._calls))
        opening = {
            "index": call.number,
            "id": self._ids.take(call_id),
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        self._chunk(_encode({"tool_calls": [opening]}))

    def arguments(self, key: int, fragment: str) -> None:
        """Add to a call's arguments; calls may take turns."""
        if fragment:
            call = self._calls[key]
            call.sent = True
            self._arguments(call, fragment)

    def pause(self) -> None:
        """Do nothing: a chunk neither opens nor ends anything."""

    def finish(self, stop_reason: StopReason, sequence: str | None, usage: Usage | None) -> None:
        """Write the closing chunks; a call without arguments gets its empty object before."""
        del sequence
        for call in self._calls.values():
            if not call.sent:
                self._arguments(call, "{}")
        reason = chat_completion.FINISH_REASONS[stop_reason]
        self._chunk(b"{}", _encode(reason))
        if self._trailing_usage and usage is not None:
            counted = _encode(counts.to_chat(usage))
            self._out.append(b'data: %b],"usage":%b}\n\n' % (self._before(), counted))
        self._out.append(b"data: [DONE]\n\n")
        self.over = True

    def fail(self, fault: Fault) -> None:
        """Write an error; without `[DONE]`, since the answer is not complete."""
        self._out.append(b"data: " + error_bodies.to_chat(fault) + b"\n\n")
        self.over = True

    def _arguments(self, call: _Call, fragment: str) -> None:
        written = (call.number, _encode(fragment))
        self._chunk(b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % written)

    def _chunk(self, delta: bytes, finish_reason: bytes = _NULL) -> None:
        self._out.append(_CHUNK % (self._before(), delta, finish_reason))

    def _before(self) -> bytes:
        """Return the beginning of every chunk: encoded once, with the first."""
        if not self._head:
            fields = {
                "id": chat_completion.completion_id(self._mint),
                "object": "chat.completion.chunk",
                "created": int(self._mint.now()),
                "model": self._model,
            }
            self._head = _encode(fields)[:-1] + b',"choices":['
        return self._head
