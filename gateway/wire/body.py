"""Read and change the few top-level fields of a JSON request that matter, by offsets. Pure.

The body is validated whole, then walked at its top level only: nested values stay slices of the
input. A change replaces or cuts a span; every other byte is sent as it came. Walking by offsets,
and refusing fields that stand twice, leaves no second `model` for the provider to read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.errors import RequestError

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_string = msgspec.json.Decoder(str).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_BLANK = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_SCALAR = re.compile(rb"[^ \t\n\r,}\]]+")
_NESTING = re.compile(_STRING.pattern + rb"|[][{}]")
_SINGULAR = frozenset({"model", "stream", "agent_type"})


@dataclass(frozen=True, slots=True)
class Field:
    """Where one top-level field stands, in byte offsets.

    Attributes:
        value: Start and end of the value.
        cut: What to remove so that the field is gone and the commas still fit.
    """

    value: tuple[int, int]
    cut: tuple[int, int]


class Body:
    """One parsed request body.

    Attributes:
        model: The requested model.
        stream: Whether an event stream is asked for.
        agent_type: An explicit caller's name for its agent; None when not given.
    """

    __slots__ = ("_data", "_fields", "_values", "agent_type", "model", "stream")

    def __init__(self, data: bytes) -> None:
        """Parse a body. Raises RequestError (400) when it is no request with a model."""
        self._data = data
        self._values = _parse(data)
        self._fields = _walk(data, self._values)
        self.model = self._text("model")
        self.stream = self._is_true("stream")
        self.agent_type = self._text("agent_type") if "agent_type" in self._fields else None

    def forwarded(self, model: str) -> bytes:
        """Return the body to send: this model, without what is meant for the gateway."""
        edits: list[tuple[int, int, bytes]] = []
        if model != self.model:
            edits.append((*self._fields["model"].value, msgspec.json.encode(model)))
        if self.agent_type is not None:
            edits.append((*self._fields["agent_type"].cut, b""))
        data = self._data
        for start, end, new in sorted(edits, reverse=True):
            data = data[:start] + new + data[end:]
        return data

    def count(self, name: str) -> int | None:
        """Return how many items a top-level array has; None when it is absent or no array."""
        raw = self._values.get(name)
        if raw is None:
            return None
        try:
            return len(_items(raw))
        except msgspec.ValidationError:
            return None

    def raw(self, name: str) -> bytes:
        """Return a top-level value as it stands in the body; empty when it is absent."""
        value = self._values.get(name)
        return b"" if value is None else bytes(value)

    def value(self, name: str) -> object:
        """Return a small top-level value, decoded; None when absent or out of range (1e999)."""
        raw = self._values.get(name)
        try:
            return None if raw is None else msgspec.json.decode(raw)
        except msgspec.ValidationError:
            return None

    def _text(self, name: str) -> str:
        raw = self._values.get(name)
        if raw is None:
            raise _invalid(f"{name}: field required")
        try:
            text = _string(raw)
        except msgspec.ValidationError:
            raise _invalid(f"{name}: must be a string") from None
        if not text:
            raise _invalid(f"{name}: must not be empty")
        return text

    def _is_true(self, name: str) -> bool:
        field = self._fields.get(name)
        return field is not None and self._data[slice(*field.value)] == b"true"


def _parse(data: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        if not data.isascii():
            data.decode()  # nested strings are skipped over below, their encoding is not looked at
        return _members(data)
    except msgspec.ValidationError:
        raise _invalid("the request body is not a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _invalid("the request body is not valid JSON") from None
    except RecursionError:
        raise _invalid("the request body is nested too deeply") from None


def _walk(data: bytes, values: Mapping[str, msgspec.Raw]) -> dict[str, Field]:
    """Return the fields that may be changed. `data` is known to be a valid JSON object."""
    found: dict[str, Field] = {}
    seen: set[str] = set()
    at = _skip(data, _skip(data, 0) + 1)
    comma = -1  # where the comma before this field stands
    while data[at] != ord("}"):
        colon = _string_end(data, at)
        name = _string(data[at:colon])
        start = _skip(data, _skip(data, colon) + 1)
        # Each value is compared once, whatever stands twice: the walk stays linear.
        end = _measure(data, start) if name in seen else _end(data, start, bytes(values[name]))
        seen.add(name)
        after = _skip(data, end)
        more = data[after] == ord(",")
        following = _skip(data, after + 1) if more else after
        if name in _SINGULAR:
            if name in found:
                raise _invalid(f"{name}: stands twice in the request body")
            cut = (at, following) if more or comma < 0 else (comma, end)
            found[name] = Field((start, end), cut)
        comma, at = after, following
    return found


def _end(data: bytes, start: int, value: bytes) -> int:
    """Return where the value at `start` ends; `value` is that of the last field of this name."""
    end = start + len(value)
    if data.startswith(value, start) and data[_skip(data, end)] in b",}":
        return end
    return _measure(data, start)  # the name stands again further on, with another value


def _measure(data: bytes, start: int) -> int:
    """Return where the value at `start` ends, by its own bytes. `data` is valid JSON."""
    if data[start] == ord('"'):
        return _string_end(data, start)
    if data[start] not in b"[{":
        scalar = _SCALAR.match(data, start)
        return start if scalar is None else scalar.end()
    depth, end = 0, start
    for token in _NESTING.finditer(data, start):
        depth += (token[0] in (b"[", b"{")) - (token[0] in (b"]", b"}"))
        if depth == 0:
            end = token.end()
            break
    return end


def _string_end(data: bytes, start: int) -> int:
    string = _STRING.match(data, start)
    return start if string is None else string.end()


def _skip(data: bytes, at: int) -> int:
    blank = _BLANK.match(data, at)
    return at if blank is None else blank.end()


def _invalid(message: str) -> RequestError:
    return RequestError(400, "invalid_request_error", message)
