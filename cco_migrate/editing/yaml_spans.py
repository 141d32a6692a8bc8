"""Reads a YAML document into plain objects and says where each value stands. Pure.

What stands elsewhere too, or is made by the reader, is not followed: an alias is the text `*name`,
a merge key is a key, a tagged scalar is its text. Such places carry a guard, and are not edited.
Keys are their text, for what is a word to one reader is a boolean to another (`on`, `8080`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import yaml

from cco_migrate.editing.spans import DuplicateKeyError, Entry, KeyPath, Kind, UnreadableError
from cco_migrate.editing.yaml_scalars import Plain, meaning

_MAX_DEPTH = 100  # as for the other formats
# PyYAML has no types; an event is one of `yaml.events`.
_Event = Any


@dataclass(frozen=True, slots=True)
class Document:
    """One document: dicts, lists and scalars, and the place of each by its path; the root is ()."""

    value: object
    entries: Mapping[KeyPath, Entry]


def scan_yaml(text: str) -> Document:
    """Read a document; one without any value is an empty mapping.

    Raises:
        DuplicateKeyError: A mapping names a key twice.
        UnreadableError: A syntax error, several documents, a key that is no single text, or more
            depth than can be read.
    """
    scan = _Scan(text)
    try:
        return scan.document()
    except yaml.reader.ReaderError as error:
        fault = UnreadableError(f"character U+{error.character:04X} is not YAML",
                                scan.offsets[error.position])  # fmt: skip
        raise fault from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = scan.offsets[mark.index] if mark is not None else 0
        raise UnreadableError(str(error.problem or error.context), at) from error


class _Scan:
    """One pass over the events of one document."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offsets = list(accumulate((len(one.encode()) for one in text), initial=0))
        self.found: dict[KeyPath, Entry] = {}
        self._anchors: set[str] = set()
        self._end = 0

    def document(self) -> Document:
        self._events = yaml.parse(self.text, Loader=yaml.SafeLoader)
        next(self._events)  # the stream begins
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return Document({}, {(): Entry(Kind.BLOCK, 0, 0, 0, 0)})
        value = self._node((), next(self._events))
        next(self._events)  # the document ends
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._unreadable("another document begins here; one file, one document", event)
        return Document(value, self.found)

    def _node(self, path: KeyPath, event: _Event, key: tuple[int, int] | None = None) -> object:
        """Record the value that begins with this event and all it holds; return it."""
        if len(path) > _MAX_DEPTH:
            raise self._unreadable("nested too deeply to be read", event)
        start, end = self._span(event)
        entry = Entry(Kind.SCALAR, start, end, *(key or (start, start)), self._guard(event))
        self.found[path] = entry  # stands before its children
        if isinstance(event, yaml.AliasEvent):
            return Plain(f"*{event.anchor}")
        if event.anchor is not None:
            self._anchors.add(event.anchor)
        if isinstance(event, yaml.ScalarEvent):
            self.found[path] = replace(entry, end=self._text_end(event))
            return _value(event)
        mapping = isinstance(event, yaml.MappingStartEvent)
        value = self._members(path) if mapping else self._items(path)
        kinds = (Kind.OBJECT, Kind.BLOCK) if mapping else (Kind.ARRAY, Kind.LIST)
        end = self._end if event.flow_style else self._last_end(path, value)
        self.found[path] = replace(entry, kind=kinds[not event.flow_style], end=end)
        return value

    def _members(self, path: KeyPath) -> dict[str, object]:
        members: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.style in {"|", ">"}:
                raise self._unreadable("a key that is not a single text", event)
            if event.anchor is not None or event.tag is not None:
                raise self._unreadable("a key with an anchor or a tag", event)
            child, span = (*path, event.value), self._span(event)
            if event.value in members:
                raise DuplicateKeyError(child, span[0])
            members[event.value] = self._node(child, next(self._events), span)
        self._end = self._span(event)[1]
        return members

    def _items(self, path: KeyPath) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node((*path, len(items)), event))
        self._end = self._span(event)[1]
        return items

    def _guard(self, event: _Event) -> str:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._unreadable(f"there is no anchor &{event.anchor}", event)
            return f"an alias (*{event.anchor}) stands here, its value elsewhere"
        if event.anchor is not None:
            return f"an anchor (&{event.anchor}) stands here, other places repeat its value"
        if event.tag is not None:
            return f"a tag ({event.tag}) says how this is read"
        if isinstance(event, yaml.ScalarEvent) and event.style in {"|", ">"}:
            return f"a block text ({event.style}) stands here"
        return ""

    def _span(self, event: _Event) -> tuple[int, int]:
        return self.offsets[event.start_mark.index], self.offsets[event.end_mark.index]

    def _text_end(self, event: _Event) -> int:
        """Return where a scalar ends; a block text at its last character, not at what follows."""
        start: int = event.start_mark.index
        end: int = event.end_mark.index
        if event.style in {"|", ">"}:
            end = start + len(self.text[start:end].rstrip())
        return self.offsets[end]

    def _last_end(self, path: KeyPath, value: dict[str, object] | list[object]) -> int:
        # The parser ends a block where the next thing begins, comments between them included.
        last = len(value) - 1 if isinstance(value, list) else next(reversed(value))
        return self.found[(*path, last)].end

    def _unreadable(self, reason: str, event: _Event) -> UnreadableError:
        return UnreadableError(reason, self._span(event)[0])


def _value(event: _Event) -> object:
    if event.tag is not None:
        return Plain(f"!{event.tag} {event.value}")
    return meaning(event.value) if event.style is None else str(event.value)
