"""Does a Messages stream arrive as it should: order, end, usage, tools, piece by piece? Pure."""

from __future__ import annotations

import json
from typing import Any

MAX_EVENT_BYTES = 4 << 20
AT_ONCE = "arrived all at once: something buffers the stream"


class StreamCheck:
    """Feed it the body's chunks in order; afterwards `faults` says what was wrong."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.text = ""
        self.tool_calls: list[tuple[str, str]] = []
        self.usage: dict[str, int] = {}
        self.reads_with_deltas = 0
        self.deltas = 0
        self._tail = b""
        self._open: dict[int, list[str]] = {}
        self._names: dict[int, str] = {}
        self._usage_ended = False
        self._faults: list[str] = []

    def feed(self, chunk: bytes) -> None:
        """Take one network read; events may be split anywhere."""
        before = self.deltas
        data = self._tail + chunk
        *blocks, self._tail = data.replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._tail) > MAX_EVENT_BYTES:
            self._faults.append(f"an event is longer than {MAX_EVENT_BYTES} bytes")
            self._tail = b""
        for block in blocks:
            self._block(block)
        self.reads_with_deltas += self.deltas > before

    @property
    def at_once(self) -> bool | None:
        """Whether all content came in one read; None when there was too little to say so."""
        return self.reads_with_deltas < 2 if self.deltas > 3 else None

    def faults(self) -> tuple[str, ...]:
        """Return what was wrong, as sentences; empty for a good stream."""
        faults = list(self._faults)
        if self._tail.strip():
            faults.append("the stream ends in the middle of an event")
        if self.events[:1] != ["message_start"]:
            faults.append("the stream does not begin with message_start")
        if self.events.count("message_start") > 1:
            faults.append("message_start came twice")
        if self.events[-1:] != ["message_stop"]:
            faults.append("the stream has no message_stop at its end")
        if self._open:
            faults.append("a content block was never stopped")
        if not self._usage_ended or not {"input_tokens", "output_tokens"} <= self.usage.keys():
            faults.append("usage is missing")
        elif not self.usage["output_tokens"] and (self.text or self.tool_calls):
            faults.append("usage says 0 output tokens though content arrived")
        if self.at_once:
            faults.append(f"{self.deltas} deltas {AT_ONCE}")
        return tuple(faults)

    def _block(self, block: bytes) -> None:
        payload = b"\n".join(
            line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")
        )
        if not payload:
            return  # a comment or a nameless keep-alive
        try:
            event: dict[str, Any] = json.loads(payload)  # Any: JSON
            kind = event["type"]
        except (ValueError, KeyError, TypeError):
            kind = None
        if not isinstance(kind, str):
            self._faults.append("an event is not JSON with a type")
            return
        if kind == "ping":
            return
        self.events.append(kind)
        try:
            self._event(kind, event)
        except (KeyError, TypeError, AttributeError):
            self._faults.append(f"a {kind} event has another shape")

    def _event(self, kind: str, event: dict[str, Any]) -> None:  # Any: JSON
        if kind == "error":
            error = event.get("error")
            said = error.get("message", "") if isinstance(error, dict) else error
            self._faults.append(f"error event: {said}")
        elif kind in {"message_start", "message_delta"}:
            usage = event.get("message", event).get("usage") or {}
            self.usage.update({k: v for k, v in usage.items() if isinstance(v, int)})
            self._usage_ended = kind == "message_delta" and "output_tokens" in usage
        elif kind.startswith("content_block_"):
            self._content(kind, event)

    def _content(self, kind: str, event: dict[str, Any]) -> None:
        index = event["index"]
        if kind == "content_block_start":
            self._open[index] = []
            self._names[index] = event["content_block"].get("name", "")
            return
        if index not in self._open:
            self._faults.append(f"{kind} for block {index}, which is not open")
            return
        if kind == "content_block_delta":
            self.deltas += 1
            delta = event["delta"]
            self.text += delta.get("text", "")
            self._open[index].append(delta.get("partial_json", ""))
            return
        pieces = "".join(self._open.pop(index))
        if self._names[index]:
            self._tool_call(self._names[index], pieces)

    def _tool_call(self, name: str, arguments: str) -> None:
        try:
            json.loads(arguments or "{}")
        except ValueError:
            self._faults.append(f"the arguments of tool call {name} are not JSON")
        self.tool_calls.append((name, arguments))
