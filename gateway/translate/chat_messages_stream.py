"""A stream of Anthropic events as chat completion chunks. Pure."""

from __future__ import annotations

import msgspec

from gateway.translate import error_bodies, message_reading, usage
from gateway.translate.error_bodies import Fault
from gateway.translate.message_reading import Block, Delta
from gateway.translate.mint import Mint
from gateway.wire.usage import Reading, Usage, read_message

_encode = msgspec.json.encode
_CHUNK = b'data: %b{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]}\n\n'
_NULL = b"null"


class _Call:
    """A tool call whose block is open."""

    __slots__ = ("input", "number", "sent")

    def __init__(self, number: int, whole_input: bytes) -> None:
        self.number, self.input = number, whole_input
        self.sent = False  # whether any of its arguments was


class MessagesToChat:
    """Translates the events of one answer."""

    __slots__ = (
        "_calls",
        "_count",
        "_finish_reason",
        "_head",
        "_mint",
        "_model",
        "_out",
        "_refusal",
        "_trailing_usage",
        "_usage",
        "complete",
        "over",
    )

    def __init__(self, mint: Mint, *, trailing_usage: bool) -> None:
        self.complete = self.over = False
        self._mint, self._trailing_usage = mint, trailing_usage
        self._out: list[bytes] = []
        self._head = b""
        self._model: str | None = None
        self._usage: Usage | None = None
        self._finish_reason = "stop"
        self._refusal: str | None = None
        self._calls: dict[int, _Call] = {}  # open blocks, by the upstream's index
        self._count = 0

    def event(self, name: bytes, data: bytes) -> None:
        """Translate one event."""
        event = message_reading.read_event(data)
        kind = event.type or name.decode(errors="replace")
        if kind == "content_block_delta" and event.delta is not None:
            self._delta(event.index, event.delta)
        elif kind == "content_block_start" and event.content_block is not None:
            self._block(event.index, event.content_block)
        elif kind == "content_block_stop":
            self._stop(event.index)
        elif kind == "message_start":
            self._start(bytes(event.message))
        elif kind == "message_delta":
            self._ending(event.delta or Delta(), data)
        elif kind == "message_stop":
            self.complete = True
            self.finish()
        elif kind == "error":
            self.fail(error_bodies.read(None, data))

    def finish(self) -> None:
        """Write the closing chunks."""
        delta = b"{}" if self._refusal is None else _encode({"refusal": self._refusal})
        self._chunk(delta, _encode(self._finish_reason))
        if self._trailing_usage and self._usage is not None:
            counted = _encode(usage.to_chat(self._usage))
            self._out.append(b'data: %b],"usage":%b}\n\n' % (self._before(), counted))
        self._out.append(b"data: [DONE]\n\n")
        self.over = True

    def fail(self, fault: Fault) -> None:
        """Write an error; without `[DONE]`, since the answer is not complete."""
        self._out.append(b"data: " + error_bodies.to_chat(fault) + b"\n\n")
        self.over = True

    def take(self) -> bytes:
        """Return what was written."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def reading(self) -> Reading:
        """Return tokens and model so far."""
        return Reading(self._usage, self._model)

    def _start(self, message: bytes) -> None:
        told = read_message(message)
        self._model, self._usage = told.model, told.usage
        if not self._head:
            self._chunk(b'{"role":"assistant","content":""}')

    def _block(self, index: int, block: Block) -> None:
        if block.type == "tool_use":
            call = self._calls[index] = _Call(self._count, bytes(block.input))
            self._count += 1
            function = {"name": block.name, "arguments": ""}
            opening = {
                "index": call.number,
                "id": block.id,
                "type": "function",
                "function": function,
            }
            self._chunk(_encode({"tool_calls": [opening]}))
        elif block.type in {"text", "thinking"}:
            self._delta(index, Delta("", block.text, block.thinking))

    def _delta(self, index: int, delta: Delta) -> None:
        if delta.text:
            self._chunk(b'{"content":' + _encode(delta.text) + b"}")
        elif delta.partial_json:
            call = self._calls.get(index)
            if call is not None:
                self._arguments(call, _encode(delta.partial_json))
        elif delta.thinking:
            self._chunk(b'{"reasoning_content":' + _encode(delta.thinking) + b"}")

    def _stop(self, index: int) -> None:
        """Send what a call began with when nothing followed: `{}` for one without arguments."""
        call = self._calls.pop(index, None)
        if call is not None and not call.sent:
            self._arguments(call, _encode((call.input or b"{}").decode()))

    def _arguments(self, call: _Call, fragment: bytes) -> None:
        call.sent = True
        self._chunk(
            b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (call.number, fragment)
        )

    def _ending(self, delta: Delta, data: bytes) -> None:
        self._usage = _later(self._usage, read_message(data).usage)
        if delta.stop_reason is not None:
            self._finish_reason = message_reading.FINISH_REASONS.get(delta.stop_reason, "stop")
        if delta.stop_details is not None:
            self._refusal = delta.stop_details.explanation

    def _chunk(self, delta: bytes, finish_reason: bytes = _NULL) -> None:
        self._out.append(_CHUNK % (self._before(), delta, finish_reason))

    def _before(self) -> bytes:
        """Return the beginning of every chunk: encoded once, with the first."""
        if not self._head:
            fields = {
                "id": f"chatcmpl-{self._mint.token()}",
                "object": "chat.completion.chunk",
                "created": int(self._mint.now()),
                "model": self._model or "",
            }
            self._head = _encode(fields)[:-1] + b',"choices":['
        return self._head


def _later(before: Usage | None, now: Usage | None) -> Usage | None:
    """Return the usage after a further report: output is the last one's, the rest the largest."""
    if before is None or now is None:
        return now or before
    return Usage(
        max(before.input_tokens, now.input_tokens),
        now.output_tokens,
        max(before.cache_write_5m_tokens, now.cache_write_5m_tokens),
        max(before.cache_write_1h_tokens, now.cache_write_1h_tokens),
        max(before.cache_read_tokens, now.cache_read_tokens),
    )
