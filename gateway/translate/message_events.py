"""Write one answer as the event stream of the Anthropic Messages API. Pure.

The order this keeps, whatever the order of the upstream: one `message_start`; blocks one after the
other, each started, filled and stopped before the next; `message_delta` and `message_stop`, or an
`error` event, at the end and never both. Upstreams may mix the arguments of parallel tool calls:
those of the open call are sent at once, those of the others wait until it is complete.
Blanks open no block, and so they end none: servers send a line end between the fragments of a call,
and Anthropic takes no block back that holds nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum, auto

import msgspec

from gateway.translate import error_bodies, message_answer
from gateway.translate import usage as counts
from gateway.translate.answer import MAX_CALLS, StopReason, broken, is_object
from gateway.translate.error_bodies import Fault
from gateway.translate.mint import Mint
from gateway.translate.unsigned import MARK
from gateway.wire.usage import Usage

MAX_HELD_BYTES = 8 * 1024 * 1024
"""So much of the arguments of one answer's tool calls is held, not more."""

MAX_BLANKS = 1024
"""So many blanks in front of a text are kept for it, not more: some models write them on and on."""

_encode = msgspec.json.encode
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n'
)
_TEXT = b'{"type":"text_delta","text":%b}'
_THINKING = b'{"type":"thinking_delta","thinking":%b}'
_SIGNATURE = b'{"type":"signature_delta","signature":"%b"}' % MARK.encode()
_ARGUMENTS = b'{"type":"input_json_delta","partial_json":%b}'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'


class _State(Enum):
    WAITING = auto()
    OPEN = auto()
    CLOSED = auto()


class _Call:
    """A tool call and the arguments that have come so far."""

    __slots__ = ("fragments", "id", "name", "state")

    def __init__(self, call_id: str, name: str) -> None:
        self.id, self.name = call_id, name
        self.fragments: list[str] = []
        self.state = _State.WAITING

    @property
    def complete(self) -> bool:
        return is_object("".join(self.fragments))


class MessageEvents:
    """Collects events until they are taken.

    Attributes:
        over: Whether the last event was written.
    """

    __slots__ = (
        "_blanks",
        "_calls",
        "_held",
        "_ids",
        "_index",
        "_kind",
        "_mint",
        "_open",
        "_out",
        "_refused",
        "_started",
        "_waiting",
        "over",
    )

    def __init__(self, mint: Mint) -> None:
        self.over = self._started = self._refused = False
        self._mint = mint
        self._ids = message_answer.call_ids(mint)
        self._out: list[bytes] = []
        self._index = -1
        self._kind: str | None = None  # "text", "thinking" or "tool_use" while a block is open
        self._blanks = ("", "")  # the kind of block that may come, and what it begins with
        self._open: _Call | None = None
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[_Call] = deque()
        self._held = 0

    def take(self) -> bytes:
        """Return what was written since the last time."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def start(self, model: str, usage: Usage | None) -> None:
        """Open the message, once."""
        if self._started:
            return
        self._started = True
        message = {
            "id": message_answer.message_id(self._mint),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": (),
            "stop_reason": None,
            "stop_sequence": None,
            "usage": counts.to_messages(usage),
        }
        self._event("message_start", message=message)

    def text(self, text: str) -> None:
        """Add to the answer's text; empty text is nothing."""
        if text:
            self._add(text, "text", _TEXT, {"type": "text", "text": ""})

    def refusal(self, text: str) -> None:
        """Add a refusal to the text; the stop reason will tell."""
        self._refused = self._refused or bool(text)
        self.text(text)

    def thinking(self, text: str) -> None:
        """Add to the thinking; empty thinking is nothing."""
        if text:
            block = {"type": "thinking", "thinking": "", "signature": ""}
            self._add(text, "thinking", _THINKING, block)

    def call(self, key: int, call_id: str | None, name: str) -> None:
        """Begin a tool call; `key` names it for `arguments`."""
        if len(self._calls) >= MAX_CALLS:
            raise broken("too many tool calls")
        call = self._calls[key] = _Call(self._ids.take(call_id), name)
        self._waiting.append(call)
        self._advance()

    def arguments(self, key: int, fragment: str) -> None:
        """Add to a call's arguments. Raises UpstreamError when the call is over already."""
        call = self._calls[key]
        if not fragment:
            return
        if call.state is _State.CLOSED:
            if fragment.isspace():
                return
            raise broken("a tool call goes on after its end")
        self._held += len(fragment)
        if self._held > MAX_HELD_BYTES:
            raise broken("tool calls are too long")
        call.fragments.append(fragment)
        if call.state is _State.OPEN:
            self._send(fragment)

    def pause(self) -> None:
        """End an open text or thinking; a call ends only with the next block, or the message."""
        if self._open is None:
            self._stop()

    def close(self) -> None:
        """End the open block and every call that waits."""
        self._stop()
        while self._waiting:
            self._begin(self._waiting.popleft())
            self._stop()

    def finish(self, stop_reason: StopReason, sequence: str | None, usage: Usage | None) -> None:
        """End the message."""
        self.close()
        reason = message_answer.stop_reason(stop_reason, refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        self._event("message_delta", delta=delta, usage=counts.to_messages(usage))
        self._event("message_stop")
        self.over = True

    def fail(self, fault: Fault) -> None:
        """End the stream with an error; what was open stays so: it is not complete."""
        self._out.append(b"event: error\ndata: " + error_bodies.to_messages(fault) + b"\n\n")
        self.over = True

    def _add(self, text: str, kind: str, form: bytes, block: Mapping[str, object]) -> None:
        """Add to the open block, or to a new one when that is of another kind.

        Args:
            form: Of the delta.
            block: How a new one begins.
        """
        if self._kind != kind:
            before, blanks = self._blanks
            text = blanks + text if before == kind else text
            if text.isspace():
                self._blanks = kind, text[:MAX_BLANKS]
                return
            self.close()
            self._open_block(kind, block)
        self._out.append(_DELTA % (self._index, form % _encode(text)))

    def _advance(self) -> None:
        """Begin waiting calls, as long as nothing incomplete is open."""
        while self._waiting and (self._open is None or self._open.complete):
            self._stop()
            self._begin(self._waiting.popleft())

    def _begin(self, call: _Call) -> None:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        self._open_block("tool_use", block)
        self._open, call.state = call, _State.OPEN
        if call.fragments:
            self._send("".join(call.fragments))

    def _send(self, fragment: str) -> None:
        self._out.append(_DELTA % (self._index, _ARGUMENTS % _encode(fragment)))

    def _stop(self) -> None:
        if self._kind == "thinking":  # its signature comes last, as Anthropic's own does
            self._out.append(_DELTA % (self._index, _SIGNATURE))
        if self._kind is not None:
            self._out.append(_STOP % self._index)
        if self._open is not None:
            self._held -= sum(map(len, self._open.fragments))
            self._open.fragments.clear()
            self._open.state = _State.CLOSED
        self._kind = self._open = None

    def _open_block(self, kind: str, block: Mapping[str, object]) -> None:
        self._kind, self._blanks = kind, ("", "")
        self._index += 1
        self._event("content_block_start", index=self._index, content_block=block)

    def _event(self, name: str, **fields: object) -> None:
        data = _encode({"type": name, **fields})
        self._out.append(b"event: " + name.encode() + b"\ndata: " + data + b"\n\n")
