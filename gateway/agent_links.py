"""Link sub-agents to the tool call that started them. Pure: state driven by events and a clock.

A parent's answer names the sub-agent and holds its prompt; the child's first request begins with
that prompt. Bounded and expiring; each worker knows what passed through it, so a child whose
parent was served by another worker is not linked.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from gateway.wire import sse

TOOL_NAMES = ("Agent", "Task")
"""What clients call the tool that starts a sub-agent, newest name first."""

DEFAULT_AGENT = "general-purpose"
"""What a call means that names no type."""

MAX_CALL_BYTES = 256 * 1024
"""A longer call, or event, is not looked into."""

MAX_WAITING, MAX_SAME_PROMPT = 256, 16
"""Unclaimed calls of one session: different prompts, and calls with one prompt."""

Key = tuple[str, str]
"""Session id and agent id."""

Name = tuple[str, str]
"""Agent type, and the signal it comes from."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Spawn:
    """One call of the tool that starts a sub-agent."""

    agent_type: str
    prompt: str


class AgentLinks:
    """Which sub-agents are expected, and what those that came are called.

    Args:
        ttl_s: How long a call waits for its child, and a name is kept after its last use, seconds.
        max_sessions: Sessions whose unclaimed calls are kept; the oldest are forgotten.
        max_names: Names kept.
    """

    __slots__ = ("_names", "_seen", "_spawns")

    def __init__(
        self, *, ttl_s: float = 3600, max_sessions: int = 4096, max_names: int = 16384
    ) -> None:
        self._spawns: _Expiring[str, dict[bytes, list[str]]] = _Expiring(ttl_s, max_sessions)
        self._names: _Expiring[Key, Name] = _Expiring(ttl_s, max_names)
        self._seen: _Expiring[Key, bool] = _Expiring(ttl_s, max_names)

    def observe(self, session: str, spawns: Iterable[Spawn], now: float) -> None:
        """Expect the children a parent's answer started."""
        for spawn in spawns:
            waiting = self._spawns.get(session, now)
            waiting = {} if waiting is None else waiting
            kept = waiting.setdefault(_digest(spawn.prompt), [])
            if len(kept) < MAX_SAME_PROMPT:
                kept.append(spawn.agent_type)
            if len(waiting) > MAX_WAITING:
                del waiting[next(iter(waiting))]
            self._spawns.put(session, waiting, now)

    def expects(self, key: Key, now: float) -> bool:
        """Return whether this agent is new and its session waits for one."""
        return bool(self._spawns.get(key[0], now)) and not self._seen.get(key, now)

    def claim(self, key: Key, prompt: str, now: float) -> str | None:
        """Return the type the parent gave the child with this prompt, once; None when nobody did.

        Of two children with one prompt the first to come takes the first call.
        """
        self._seen.put(key, True, now)
        waiting = self._spawns.get(key[0], now) or {}
        digest = _digest(prompt)
        types = waiting.get(digest, [])
        found = types.pop(0) if types else None
        if not types:
            waiting.pop(digest, None)
        return found

    def name(self, key: Key, now: float) -> Name | None:
        """Return the name this agent was given before; None when it has none yet."""
        found = self._names.get(key, now)
        if found is not None:
            self._names.put(key, found, now)
        return found

    def remember(self, key: Key, name: Name, now: float) -> None:
        """Keep an agent's name for its later turns."""
        self._names.put(key, name, now)


class SpawnReader:
    """Finds calls of the agent tool in the pieces of a streamed answer."""

    __slots__ = ("_open", "_tail")

    def __init__(self) -> None:
        self._tail = b""
        self._open: dict[int, _Call] = {}

    def feed(self, piece: bytes) -> tuple[Spawn, ...]:
        """Return the calls that this piece completes."""
        data = self._tail + piece if self._tail else piece
        end = sse.last_break(data)
        self._tail = data[max(end, 0) :]
        if len(self._tail) > MAX_CALL_BYTES:
            self._tail = b""
        if end < 0 or not (self._open or b"tool_use" in data):
            return ()
        found = (self._event(event) for _, event in sse.split(data, 0, end))
        return tuple(spawn for spawn in found if spawn is not None)

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
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Spawn(call.subagent_type, call.prompt) if call.prompt and call.subagent_type else None


def _digest(prompt: str) -> bytes:
    """Return what is kept of a prompt: its text is nobody's business."""
    return hashlib.sha256(prompt.encode(errors="surrogatepass")).digest()[:16]


class _Expiring(Generic[K, V]):
    """A bounded table in the order of last use; entries end after their time."""

    __slots__ = ("_entries", "_limit", "_ttl_s")

    def __init__(self, ttl_s: float, limit: int) -> None:
        self._ttl_s, self._limit = ttl_s, limit
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K, now: float) -> V | None:
        found = self._entries.get(key)
        return None if found is None or now - found[0] > self._ttl_s else found[1]

    def put(self, key: K, value: V, now: float) -> None:
        self._entries[key] = (now, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)
