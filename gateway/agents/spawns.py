"""Find calls that start sub-agents in a parent's answer. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from gateway.wire import sse

TOOL_NAMES = ("Agent", "Task")
"""What clients call the tool that starts a sub-agent, newest name first."""

DEFAULT_AGENT = "general-purpose"
"""What a call means that names no type."""

MAX_CALL_BYTES = 256 * 1024
"""A longer call, or event, is not looked into."""

_NAMES_AS_JSON = tuple(f'"{name}"'.encode() for name in TOOL_NAMES)


@dataclass(frozen=True, slots=True)
class Spawn:
    """One call of the tool that starts a sub-agent.

    Attributes:
        prompt: See `prompt_digest`.
    """

    agent_type: str
    prompt: bytes


def can_spawn(tools: bytes) -> bool:
    """Return whether a request's tools, as JSON, may hold the one that starts sub-agents."""
    return any(tools.find(name) >= 0 for name in _NAMES_AS_JSON)


def prompt_digest(prompt: str) -> bytes:
    """Return what is kept of a prompt: its text is nobody's business."""
    return hashlib.sha256(prompt.encode(errors="surrogatepass")).digest()[:16]


@dataclass(frozen=True, slots=True)
class Started:
    """Calls that a piece of an answer completes.

    Attributes:
        at: Offset in the piece of the event that completes the first of them; 0 when that event
            began in an earlier piece.
    """

    at: int
    spawns: tuple[Spawn, ...]


class SpawnReader:
    """Finds calls of the agent tool in the pieces of a streamed answer."""

    __slots__ = ("_open", "_tail")

    def __init__(self) -> None:
        self._tail = b""
        self._open: dict[int, _Call] = {}

    def feed(self, piece: bytes) -> Started | None:
        """Return the calls that this piece completes; None when it completes none."""
        carried = len(self._tail)
        data = self._tail + piece if carried else piece
        end = sse.last_break(data)
        self._tail = data[max(end, 0) :]
        if len(self._tail) > MAX_CALL_BYTES:
            self._tail = b""
        if end < 0 or not (self._open or b"tool_use" in data):
            return None
        events = ((at, self._event(event)) for at, event in sse.split(data, 0, end))
        found = [(at, spawn) for at, spawn in events if spawn is not None]
        if not found:
            return None
        return Started(max(0, found[0][0] - carried), tuple(spawn for _, spawn in found))

    def _event(self, event: bytes) -> Spawn | None:
        try:
            data = _decode_event(sse.fields(event)[1])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if data.content_block is not None and data.content_block.name in TOOL_NAMES:
            self._open[data.index] = _Call(bytes(data.content_block.input))
        elif data.delta is not None and data.index in self._open:
            self._open[data.index].add(data.delta.partial_json)
        elif data.type == "content_block_stop" and data.index in self._open:
            return _spawn(self._open.pop(data.index).input())
        return None


def read_spawns(body: bytes) -> tuple[Spawn, ...]:
    """Return the calls of the agent tool in a complete JSON answer."""
    if b"tool_use" not in body:
        return ()
    try:
        blocks = _decode_answer(body).content
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    found = (_spawn(bytes(block.input)) for block in blocks if block.name in TOOL_NAMES)
    return tuple(spawn for spawn in found if spawn is not None)


@dataclass(slots=True)
class _Call:
    """A call whose input is still arriving."""

    given: bytes
    parts: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, part: str) -> None:
        self.size += len(part)
        if self.size <= MAX_CALL_BYTES:
            self.parts.append(part)

    def input(self) -> bytes:
        return "".join(self.parts).encode() if self.parts else self.given


class _Input(msgspec.Struct, gc=False):
    prompt: str = ""
    subagent_type: str = DEFAULT_AGENT


class _Block(msgspec.Struct, gc=False):
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Delta(msgspec.Struct, gc=False):
    partial_json: str = ""


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    content_block: _Block | None = None
    delta: _Delta | None = None


class _Answer(msgspec.Struct, gc=False):
    content: list[_Block] = []


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_input = msgspec.json.Decoder(_Input).decode


def _spawn(data: bytes) -> Spawn | None:
    try:
        call = _decode_input(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not (call.prompt and call.subagent_type):
        return None
    return Spawn(call.subagent_type, prompt_digest(call.prompt))
