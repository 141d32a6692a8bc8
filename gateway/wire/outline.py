"""Take a request's body apart, reading it once: its members, and what its messages say. Pure.

Most of a body are its messages. Where they end is guessed, and they are cut out. When what is left
is a valid object and what was cut a valid array, the guess was right: one array in the place of
another keeps a document whole. So each part is read once, the messages by what is looked at.
Where no guess fits, the body is read whole, and its messages a second time when they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from gateway.wire.decoding import UNREADABLE, members
from gateway.wire.layout import Member, compact_layout, is_compact, walked_layout

CUT_BYTES = 4096
"""In a shorter body it takes longer to find the messages than to read them twice."""

_NAME = "messages"
_KEYS = (b'"messages":[', b'"messages": [')  # as JavaScript writes it, and Python by default
_MESSAGE, _END = b'{"role":', b"}],"
_STAND_IN = b"0"
_BACKSLASH = ord("\\")
_GUESSES = 3
_REST_BYTES = 128 * 1024  # a longer rest is read once more by each wrong guess, and kept beside


class OutputConfig(msgspec.Struct, gc=False):
    """What a message asks of the answers after it."""

    effort: str | None = None


class Message(msgspec.Struct, gc=False):
    """What is looked at of a message."""

    role: str | None = None
    output_config: OutputConfig | None = None


class _UsualMessage(Message, gc=False):
    # Of a word that is known no new text is made for each message.
    role: Literal["user", "assistant", "system", "developer", "tool"] | None = None


class _PlainMessage(msgspec.Struct, gc=False):
    # Most are a user's or an assistant's and set no effort.
    role: Literal["user", "assistant"]
    output_config: None = None


class Messages(msgspec.Struct, frozen=True, gc=False):
    """What is looked at of all messages.

    Attributes:
        count: How many there are.
        unusual: All of them; empty when each is a user's or an assistant's that sets no effort.
    """

    count: int
    unusual: Sequence[Message] = ()


_read_plain = msgspec.json.Decoder(list[_PlainMessage]).decode
_read_usual = msgspec.json.Decoder(list[_UsualMessage]).decode
_read_any = msgspec.json.Decoder(list[Message]).decode


def read_messages(data: bytes | memoryview | msgspec.Raw) -> Messages:
    """Return what is looked at of an array of messages. Raises DecodeError."""
    try:
        return Messages(len(_read_plain(data)))
    except msgspec.ValidationError:
        found = _read_unusual(data)
        return Messages(len(found), found)


class Outline(msgspec.Struct, frozen=True, gc=False):
    """The parts of a body.

    Attributes:
        values: The members, undecoded; of a name that stands twice, the last.
        layout: Where they stand; None when the body is compact, so that none stands twice.
        messages: What was read of them on the way; None when they were not looked into.
    """

    values: Mapping[str, msgspec.Raw]
    layout: tuple[Member, ...] | None
    messages: Messages | None

    @property
    def repeats(self) -> bool:
        """Whether a name stands twice."""
        return self.layout is not None and len(self.layout) > len(self.values)

    def members(self) -> tuple[Member, ...]:
        """Return where all members stand in the body, in order."""
        return compact_layout(self.values) if self.layout is None else self.layout


def outline(data: bytes, *, least: int = CUT_BYTES) -> Outline:
    """Return the parts of a body. Raises what decoding raises when it is no JSON object.

    Args:
        least: Bytes of the shortest body whose messages are cut out.
    """
    cut = None if len(data) < least else _cut(data)
    if cut is not None:
        return cut
    values = members(data)
    return Outline(values, None if is_compact(data, values) else walked_layout(data, values), None)


def _cut(data: bytes) -> Outline | None:
    """Return the parts of a body whose messages could be cut out; None for others."""
    key = data.find(_KEYS[0])
    start = key + len(_KEYS[0]) - 1
    if key < 0:
        key = data.find(_KEYS[1])
        start = key + len(_KEYS[1]) - 1
    at = data.rfind(_MESSAGE, start)
    if key < 0 or at < 0 or data[key - 1] == _BACKSLASH:
        return None
    for _ in range(_GUESSES):
        at = data.find(_END, at) + 2
        found = _divided(data, start, at if at > 1 else data.rfind(b"]") + 1)
        if found is not None or at < 2:
            return found
    return None


def _divided(data: bytes, start: int, end: int) -> Outline | None:
    """Return the parts; None when the messages do not end there, or cannot be cut out."""
    if len(data) - (end - start) > max(end - start, _REST_BYTES):
        return None
    before, own = data[:start] + _STAND_IN, memoryview(data)[start:end]
    rest = before + data[end:]
    try:
        values = members(rest)
        # Before a second brace the stand-in belongs to the top level; behind one, this tells.
        if data.find(b"{", 1, start) >= 0:
            members(before + b"}")
        messages = read_messages(own)
    except UNREADABLE:
        return None
    if bytes(values.get(_NAME, b"")) != _STAND_IN:
        return None
    whole = is_compact(rest, values)
    values[_NAME] = msgspec.Raw(own)
    found = Outline(values, None if whole else walked_layout(data, values), messages)
    return None if found.repeats else found


def _read_unusual(data: bytes | memoryview | msgspec.Raw) -> Sequence[Message]:
    try:
        return _read_usual(data)
    except msgspec.ValidationError:
        return _read_any(data)
