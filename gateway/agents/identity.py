"""Name the agent a request comes from, by the signals it carries, strongest first. Pure.

An explicit name beats everything. Then what the client says about its sub-agent, what the parent
said when it started it, which definition file the system prompt begins with, and what the prompt
says about itself. What is left is the main thread, or a sub-agent without a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from gateway.agents.links import Key
from gateway.overrides.shape import header_name
from gateway.overrides.shape import name as clean
from gateway.wire.body import Body
from gateway.wire.http import Head, per_head

MAIN, SUBAGENT = "main", "subagent"

_CUSTOM = "custom"  # what clients call every agent their users defined themselves
_HEAD_CHARS = 64
_MARK = b"You are the "
_MARKER = re.compile(r"^You are the ([A-Za-z0-9][\w-]*) agent\b", re.MULTILINE | re.ASCII)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"""^name:[ \t]*["']?([^\s"'#]+)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)


class AgentSource(StrEnum):
    """Which signal named an agent."""

    HEADER = "header"
    BODY = "body"
    HINT = "hint"
    PARENT = "parent"
    DEFINITION = "definition"
    MARKER = "marker"
    THREAD = "thread"


class Agent(msgspec.Struct, frozen=True, gc=False):
    """Who a request comes from."""

    type: str
    source: AgentSource


class Claims(msgspec.Struct, frozen=True, gc=False):
    """What a request's headers say of its agent.

    Attributes:
        session_id: The client's own; None when it sends none.
        agent_id: The client's own id of a sub-agent; None for a session's main thread.
        explicit: Whom the header for it names; None when it is not there.
        hint: What kind of sub-agent the client says this is; None when it does not.
        thread: What is left when nothing names the agent.
    """

    session_id: str | None
    agent_id: str | None
    explicit: Agent | None
    hint: Agent | None
    thread: Agent


NOBODY = Claims(None, None, None, None, Agent(MAIN, AgentSource.THREAD))
"""Headers that say nothing of an agent."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One agent definition file: the agent's name and the text its system prompt begins with."""

    name: str
    body: str


def parse_definition(stem: str, text: str) -> Definition | None:
    """Return the definition in a Markdown file with front matter; None when it has no text.

    Args:
        stem: The file's name without its ending: the agent's name when the front matter has none.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    front = _FRONT_MATTER.match(text)
    named = None if front is None else _NAME.search(front[1])
    body = text[front.end() if front else 0 :].strip()
    return Definition(clean(stem if named is None else named[1]), body) if body else None


class DefinitionIndex:
    """Finds the definition a system block begins with; cost does not grow with their number.

    Two agents with the same text cannot be told apart, so neither is found.

    Attributes:
        empty: Whether nothing will be found.
    """

    __slots__ = ("_heads", "_sizes", "empty")

    def __init__(self, definitions: Iterable[Definition] = ()) -> None:
        names: dict[str, set[str]] = {}
        for found in definitions:
            names.setdefault(found.body, set()).add(found.name)
        self._heads: dict[str, list[tuple[str, str]]] = {}
        for body in sorted(names, key=len, reverse=True):  # the longest match is the right one
            if len(names[body]) == 1:
                (name,) = names[body]
                self._heads.setdefault(body[:_HEAD_CHARS], []).append((body, name))
        self._sizes = sorted({len(head) for head in self._heads}, reverse=True)
        self.empty = not self._heads

    def find(self, text: str) -> str | None:
        """Return the name of the agent whose definition the text begins with, or None."""
        text = text.lstrip()
        for size in self._sizes:
            for body, name in self._heads.get(text[:size], ()):
                # The body ends here, or goes on: "Review." is not the beginning of "Review.md".
                if text.startswith(body) and not text[len(body) : len(body) + 1].strip():
                    return name
        return None


def identify(
    told: Claims, body: Body, known: DefinitionIndex, linked: Agent | None = None
) -> Agent:
    """Return the agent of a request.

    Args:
        told: What its head claims.
        linked: What is known of the sub-agent `sub_agent` returns: its name so far, or the one its
            parent gave it; None when nothing is.
    """
    if told.explicit is not None:
        return told.explicit
    if body.agent_type is not None:
        return Agent(clean(body.agent_type), AgentSource.BODY)
    return linked or told.hint or _prompted(body, known) or told.thread


def sub_agent(told: Claims, body: Body) -> Key | None:
    """Return the sub-agent a request comes from; None for a main thread, or an explicit name."""
    if told.agent_id is None or told.explicit is not None or body.agent_type is not None:
        return None
    return Key(told.session_id or "", told.agent_id)


def first_prompt(body: Body) -> str | None:
    """Return the last text of the first user message; None when there is none.

    A sub-agent's first request ends its first message with the prompt its parent wrote.
    """
    try:
        messages = _decode_messages(body.raw("messages"))
    except msgspec.DecodeError:
        return None
    for message in messages:
        if message.role == "user":
            content = message.content
            texts = [content] if isinstance(content, str) else [block.text for block in content]
            return texts[-1] if texts and texts[-1] else None
    return None


@per_head
def claims(head: Head) -> Claims:
    """Return what a request's headers say of its agent."""
    explicit = header_name(head, b"x-agent-type")
    hint = header_name(head, b"x-claude-code-agent-type")
    agent_id = header_name(head, b"x-claude-code-agent-id")
    thread = MAIN if agent_id is None else SUBAGENT
    return Claims(
        session_id=header_name(head, b"x-claude-code-session-id"),
        agent_id=agent_id,
        explicit=None if explicit is None else Agent(explicit, AgentSource.HEADER),
        hint=None if hint is None or hint == _CUSTOM else Agent(hint, AgentSource.HINT),
        thread=Agent(thread, AgentSource.THREAD),
    )


def _prompted(body: Body, known: DefinitionIndex) -> Agent | None:
    """Return what the system prompt says; it is decoded only when it may say something."""
    raw = body.raw("system")
    marked = raw.find(_MARK) >= 0  # `in` tries for a number first
    if not marked and (known.empty or not raw):
        return None
    texts = tuple(_texts(raw))
    for text in texts:
        name = known.find(text)
        if name is not None:
            return Agent(name, AgentSource.DEFINITION)
    found = (_MARKER.search(text) for text in texts) if marked else ()
    return next((Agent(clean(mark[1]), AgentSource.MARKER) for mark in found if mark), None)


class _Block(msgspec.Struct, gc=False):
    text: str = ""


class _Message(msgspec.Struct, gc=False):
    role: str = ""
    content: str | list[_Block] = ""


_decode_system = msgspec.json.Decoder(str | list[_Block]).decode
_decode_messages = msgspec.json.Decoder(list[_Message]).decode


def _texts(raw: bytes) -> Iterator[str]:
    try:
        system = _decode_system(raw)
    except msgspec.DecodeError:
        return
    if isinstance(system, str):
        yield system
    else:
        yield from (block.text for block in system)
