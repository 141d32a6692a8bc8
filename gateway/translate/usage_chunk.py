"""Ask for a chat stream's usage on the gateway's own behalf, and keep the answer back. Pure.

OpenAI's chat streams say what they took only to those who ask (`stream_options.include_usage`). The
answer is one more chunk before `[DONE]`, without choices: it is taken out of the stream of a client
that did not ask, and every other byte is passed on as it came.
"""

from __future__ import annotations

import re

import msgspec

from gateway.wire import sse
from gateway.wire.body import Body
from gateway.wire.chat_usage import read_chat, served
from gateway.wire.decoding import NULL, UNREADABLE, given, members
from gateway.wire.usage import Reading

MAX_EVENT_BYTES = 64 * 1024
"""A longer event is passed on without being looked at; the one with the usage is much shorter."""

_OPTIONS = "stream_options"
_WORD = b"prompt_tokens"
_TIER = re.compile(rb'"service_tier" ?: ?"([^"\\]+)"')


class _Chunk(msgspec.Struct, gc=False):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NULL


_decode = msgspec.json.Decoder(_Chunk).decode


def wanted(body: Body) -> bool:
    """Return whether a client asks for the chunk with the usage."""
    return _asks(body.value(_OPTIONS))


def can_be_added(body: Body) -> bool:
    """Return whether the gateway can ask in addition: the client streams, and has not asked.

    Azure's answers from the client's own data refuse the question.
    """
    if not body.stream or body.raw("data_sources"):
        return False
    options = body.value(_OPTIONS)
    return options is None or (isinstance(options, dict) and not _asks(options))


def added(request: bytes) -> bytes:
    """Return a request that asks for the usage; all other members keep their bytes."""
    fields = members(request)
    found = given(fields.get(_OPTIONS, NULL))
    options = {} if found is None else members(found)
    asking = options | {"include_usage": msgspec.Raw(b"true")}
    return msgspec.json.encode(fields | {_OPTIONS: msgspec.Raw(msgspec.json.encode(asking))})


class UsageFilter:
    """Takes the chunk with the usage out of a stream, at any split of its bytes.

    An event is passed on when it is whole: until then no client can use it either. The tier counts
    that the chunk with the usage names, else the first one that any chunk before it named.

    Attributes:
        reading: What the chunk told; nothing before it came.
    """

    __slots__ = ("_held", "_passing", "_tier", "reading")

    def __init__(self) -> None:
        self.reading = Reading()
        self._held = b""
        self._passing = False  # whether the rest of a long event is being passed on
        self._tier: str | None = None

    def feed(self, data: bytes) -> bytes:
        """Return what can be sent now."""
        data = self._held + data
        end = sse.last_break(data)
        if end < 0:
            self._passing = self._passing or len(data) > MAX_EVENT_BYTES
            # The last bytes stay: the blank line that ends the event may be split.
            end = max(0, len(data) - 3) if self._passing else 0
            self._held = data[end:]
            return data[:end]
        whole, self._held = data[:end], data[end:]
        if self._tier is None:
            tier = _TIER.search(whole)
            self._tier = None if tier is None else tier[1].decode(errors="replace")
        if _WORD not in whole:
            self._passing = False
            return whole
        return b"".join(self._kept(event) for _, event in sse.split(whole, 0, end))

    def rest(self) -> bytes:
        """Return what is left at the end of a stream that broke off within an event."""
        held, self._held = self._held, b""
        return held

    def _kept(self, event: bytes) -> bytes:
        """Return what a client gets of an event: all, or what blank lines precede the usage."""
        if self._passing:  # this is the end of an event whose beginning was sent
            self._passing = False
            return event
        _, payload = sse.fields(event)
        if not _is_usage(payload):
            return event
        told = read_chat(payload)
        own = _TIER.search(payload) is not None
        self.reading = told if own else Reading(served(told.usage, self._tier), told.model)
        return event[: len(event) - len(event.lstrip(b"\r\n"))]


def _asks(options: object) -> bool:
    return isinstance(options, dict) and options.get("include_usage") is True


def _is_usage(payload: bytes) -> bool:
    try:
        chunk = _decode(payload)
    except UNREADABLE:
        return False
    return chunk.choices == [] and given(chunk.usage) is not None
