"""Read and change the few fields of a JSON request that matter, by offsets. Pure.

The body is validated whole, then walked at its top level only: nested values stay slices of the
input. A change replaces or cuts a span; every other byte is sent as it came. Walking by offsets,
and refusing fields that stand twice, leaves no second `model` for the provider to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gateway.errors import RequestError
from gateway.wire.edits import Edit, edited
from gateway.wire.layout import compact, refuse_twice
from gateway.wire.nesting import BOUNDED_BY_PYTHON, refuse_deep
from gateway.wire.outline import Messages, Outline, outline, read_messages

_string = msgspec.json.Decoder(str).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_anything = msgspec.json.Decoder().decode
_TRUE = msgspec.Raw(b"true")
_SINGULAR = frozenset({"model", "stream", "agent_type", "project_id"})
_OURS = ("agent_type", "project_id")  # meant for the gateway, and unknown to every provider


class Body:
    """One parsed request body.

    Attributes:
        model: The requested model.
        stream: Whether an event stream is asked for.
        agent_type: An explicit caller's name for its agent; None when not given.
        project_id: An explicit caller's name for its project; None when not given.
        ascii: Whether every byte is.
    """

    __slots__ = ("_data", "_parts", "agent_type", "ascii", "model", "project_id", "stream")

    def __init__(self, data: bytes) -> None:
        """Parse a body. Raises RequestError (400) when it is no request with a model."""
        self._data = data
        self.ascii = data.isascii()
        self._parts = parts = _parse(data, ascii_only=self.ascii)
        values = parts.values
        if parts.layout is not None:
            self._refuse_twice(_SINGULAR)
        self.model = self._text("model")
        self.stream = values.get("stream") == _TRUE
        self.agent_type = self._text("agent_type") if "agent_type" in values else None
        self.project_id = self._text("project_id") if "project_id" in values else None

    def forwarded(self, model: str, edits: Sequence[Edit] = ()) -> bytes:
        """Return the body to send: this model, edited, without what is meant for the gateway.

        Raises:
            RequestError: It is to be edited and a field stands twice (400): a reader may take
                either, so that what the edits were decided by may not be what counts.
        """
        if not edits and self.agent_type is None and self.project_id is None:
            return self._data if model == self.model else self._renamed(model)
        if edits:
            self._refuse_twice()
        made = list(edits)
        if model != self.model:
            made.append(Edit(("model",), model))
        made += [Edit((name,), None) for name in _OURS if name in self._parts.values]
        return edited(self._data, self._parts.members(), made)

    def messages(self) -> Messages | None:
        """Return what is looked at of the messages; None when one is of an unexpected type."""
        parts = self._parts
        if parts.messages is not None:
            return parts.messages
        try:
            return read_messages(parts.values.get("messages", b""))
        except msgspec.DecodeError:
            return None

    def count(self, name: str) -> int | None:
        """Return how many items a top-level array has; None when it is absent or no array."""
        raw = self._parts.values.get(name)
        if raw is None:
            return None
        try:
            return len(_items(raw))
        except msgspec.ValidationError:
            return None

    def mentions(self, text: bytes) -> bool:
        """Return whether these bytes stand anywhere in the body."""
        # From behind the search skips by the first byte: five times as fast for "base64".
        return self._data.rfind(text) >= 0

    def size(self, names: Iterable[str]) -> int:
        """Return how many bytes these top-level values take together; absent ones take none."""
        values, size = self._parts.values, 0
        for name in names:
            size += len(values.get(name, b""))
        return size

    def raw(self, name: str) -> bytes:
        """Return a top-level value as it stands in the body; empty when it is absent."""
        return bytes(self._parts.values.get(name, b""))

    def value(self, name: str) -> object:
        """Return a small top-level value, decoded; None when absent or out of range (1e999)."""
        raw = self._parts.values.get(name)
        return None if raw is None else _decoded(raw)

    def said(self, names: frozenset[str]) -> Mapping[str, object]:
        """Return those of some small top-level values that are there, decoded; 1e999 is None."""
        found, values = {}, self._parts.values
        for name in values:
            if name in names:
                found[name] = _decoded(values[name])
        return found

    def _renamed(self, model: str) -> bytes:
        """Return the body with another model, copied once."""
        parts = self._parts
        if parts.layout is None:  # it is what its members are written as
            return compact({**parts.values, "model": model})
        return edited(self._data, parts.layout, [Edit(("model",), model)])

    def _text(self, name: str) -> str:
        raw = self._parts.values.get(name)
        if raw is None:
            raise _invalid(f"{name}: field required")
        try:
            text = _string(raw)
        except msgspec.ValidationError:
            raise _invalid(f"{name}: must be a string") from None
        if not text:
            raise _invalid(f"{name}: must not be empty")
        return text

    def _refuse_twice(self, names: frozenset[str] | None = None) -> None:
        """Raise RequestError when one of these fields, or any field, stands twice."""
        if self._parts.layout is not None and self._parts.repeats:
            refuse_twice(self._parts.layout, names)


def _parse(data: bytes, *, ascii_only: bool) -> Outline:
    try:
        if not BOUNDED_BY_PYTHON:
            refuse_deep(data)
        if not ascii_only:
            data.decode()  # nested strings are skipped over below, their encoding is not looked at
        return outline(data)
    except msgspec.ValidationError:
        raise _invalid("the request body is not a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _invalid("the request body is not valid JSON") from None
    except RecursionError:
        raise _invalid("the request body is nested too deeply") from None


def _decoded(raw: msgspec.Raw) -> object:
    try:
        return _anything(raw)
    except msgspec.ValidationError:
        return None


def _invalid(message: str) -> RequestError:
    return RequestError(400, "invalid_request_error", message)
