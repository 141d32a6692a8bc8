"""Change JSON documents and event streams by their structure: most bytes would not fit. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from random import Random

from fuzz.targets.case import Value

DEEP = 1200
"""Nested deeper than a Python stack."""

ODD: Sequence[Value] = (
    *(None, True, False, 0, -1, 1, 1.5, 2**63, 10**30, 1e308),
    *("", " ", "x", "\x00", "é", "\ud83d", "\U0001f600", "data: {}\n\n", "null", "{}", "9" * 30),
    *([], {}, [None], [[]], [{}], {"type": "text"}, {"": ""}),
)
_DATA = b"data: "


class Mutator:
    """Changes inputs with the help of parts of others.

    Args:
        inputs: Whose parts are grafted onto what is changed.
    """

    def __init__(self, inputs: Sequence[bytes]) -> None:
        documents = [document for data in inputs for document in _documents(data)]
        # As text: every graft is a copy, so that no value ever holds itself.
        self._parts = [json.dumps(part) for one in documents for part in _parts(one)]
        self._names = sorted({key for one in documents for key in _names(one)}) or ["x"]

    def changed(self, data: bytes, random: Random) -> bytes | None:
        """Return an input near this one; None when it has no structure that can be read."""
        end = _end(data)
        if end is not None:
            return self._changed_events(data, end, random)
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return _written(self._changed(document, random))

    def _changed_events(self, data: bytes, end: bytes, random: Random) -> bytes:
        events = data.split(end)
        at = random.randrange(len(events))
        kind = random.randrange(6)
        if kind == 0:
            del events[at]
        elif kind == 1:
            events.insert(random.randrange(len(events) + 1), events[at])
        elif kind == 2:
            other = random.randrange(len(events))
            events[at], events[other] = events[other], events[at]
        else:
            events[at] = self._changed_event(events[at], random)
        return end.join(events)

    def _changed_event(self, event: bytes, random: Random) -> bytes:
        before, found, payload = event.rpartition(_DATA)
        try:
            document = json.loads(payload)
        except (ValueError, RecursionError):
            return event
        return before + found + _written(self._changed(document, random))

    def _changed(self, document: Value, random: Random) -> Value:
        for _ in range(random.randint(1, 3)):
            places = list(_places(document))
            if not places:
                return self._new(document, random)
            holder, key = random.choice(places)
            self._change(holder, key, random)
        return document

    def _change(self, holder: Value, key: Value, random: Random) -> None:
        kind = random.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, holder[key])
        elif kind == 1:
            holder[random.choice(self._names)] = holder.pop(key)
        elif kind == 2 and isinstance(holder, dict):
            holder[random.choice(self._names)] = self._new(holder[key], random)
        elif kind == 3:
            other = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            holder[key], holder[other] = holder[other], holder[key]
        else:
            holder[key] = self._new(holder[key], random)

    def _new(self, value: Value, random: Random) -> Value:
        kind = random.randrange(16)
        if kind < 6 and self._parts:
            return json.loads(random.choice(self._parts))
        if kind < 12:
            return deepcopy(random.choice(ODD))
        if kind == 12 and isinstance(value, str):
            at = random.randrange(len(value) + 1)
            return value[:at] + random.choice(("\\", '"', "{", "\n", "\ud83d", "é")) + value[at:]
        if kind == 13:
            return [value]
        return _deep(random) if kind == 14 else {random.choice(self._names): value}


def _end(data: bytes) -> bytes | None:
    """Return what ends an event of this stream; None for a single document."""
    if _DATA in data:
        return b"\n\n"
    return b"\n" if data.startswith(b"{") and b"}\n{" in data else None


def _documents(data: bytes) -> Iterator[Value]:
    """Yield the JSON documents of an input: itself, or what its events hold."""
    end = _end(data)
    for payload in [data] if end is None else data.split(end):
        try:
            yield json.loads(payload.rpartition(_DATA)[2])
        except (ValueError, RecursionError):
            continue


def _parts(document: Value) -> Iterator[Value]:
    yield document
    for holder, key in _places(document):
        yield holder[key]


def _names(document: Value) -> Iterator[str]:
    for holder, key in _places(document):
        if isinstance(holder, dict):
            yield key


def _places(document: Value) -> Iterator[tuple[Value, Value]]:
    """Yield each place of a value in the document: what holds it, and its key or index there."""
    waiting = [document]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            keys: Sequence[Value] = list(holder) if isinstance(holder, dict) else range(len(holder))
            for key in keys:
                yield holder, key
                waiting.append(holder[key])


def _deep(random: Random) -> Value:
    value: Value = 0
    as_list = random.random() < 0.5
    for _ in range(random.choice((3, 100, DEEP))):
        value = [value] if as_list else {"a": value}
    return value


def _written(document: Value) -> bytes:
    try:
        return json.dumps(document).encode()
    except RecursionError:
        return b"[" * DEEP + b"]" * DEEP
