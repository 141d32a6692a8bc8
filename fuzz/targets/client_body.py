"""The JSON body of a client's request, against the standard library's parser. Pure."""

from __future__ import annotations

import contextlib
import re

import msgspec

from fuzz.targets import standard
from fuzz.targets.standard import Members, member
from gateway.agents.identity import (
    Definition,
    DefinitionIndex,
    claims,
    first_prompt,
    identify,
    sub_agent,
)
from gateway.cache.response_cache import Asked, cache_key
from gateway.errors import RequestError
from gateway.overrides.shape import read_shape
from gateway.wire.body import Body
from gateway.wire.edits import EACH, Edit
from gateway.wire.http import Head
from gateway.wire.outline import outline, read_messages

MODEL = 'another-"modèl"'
SINGULAR = ("model", "stream", "agent_type")
EDITS = (
    Edit(("max_tokens",), 5, add=True),
    Edit(("output_config", "effort"), None),
    Edit(("messages", EACH, "output_config", "effort"), None),
    Edit(("thinking",), None),
)
EDITED = {"model", "agent_type", *(edit.path[0] for edit in EDITS)}

_LONE_SURROGATE = re.compile(rb"\\ud[89a-f]", re.IGNORECASE)
_KNOWN = DefinitionIndex([Definition("reviewer", "You review what others wrote.")])
_HEADERS = ((b"x-claude-code-session-id", b"s"), (b"x-claude-code-agent-id", b"a"))


def body(data: bytes) -> None:
    """Read and change a body: what the gateway takes for JSON is, and only the model changes."""
    before, found = _both(data)
    if before is None or found is None:
        return
    named = dict(before)
    assert found.model == named["model"]
    assert found.stream is (named.get("stream") is True)
    assert found.agent_type == named.get("agent_type")
    assert found.forwarded(found.model) == data or found.agent_type is not None
    kept = [(name, value) for name, value in before if name != "agent_type"]
    after = standard.read(found.forwarded(MODEL))
    assert after is not None
    assert list(after) == [(name, MODEL if name == "model" else value) for name, value in kept]
    _look_at(data, found)


def edits(data: bytes) -> None:
    """Adapt a body to another model: what is edited is, and everything else stays as it is."""
    before, found = _both(data)
    if before is None or found is None:
        return
    try:
        after = standard.read(found.forwarded(MODEL, EDITS))
    except RequestError as error:
        assert error.status == 400
        assert standard.repeats(before)
        return
    assert after is not None
    assert [one for one in after if one[0] not in EDITED] == [
        one for one in before if one[0] not in EDITED
    ]
    assert member(after, "model") == MODEL
    assert member(after, "max_tokens") == "5"
    assert member(after, "agent_type") is None
    messages = member(after, "messages")
    for one in (after, *(messages if isinstance(messages, list) else ())):
        assert member(member(one, "output_config"), "effort") is None


def _both(data: bytes) -> tuple[Members | None, Body | None]:
    """Return a body as the standard library and as the gateway read it; they must agree on it."""
    try:
        before = standard.read(data)
    except RecursionError:
        return None, None  # deeper than the standard library goes
    try:
        found = Body(data)
    except RequestError as error:
        assert error.status == 400
        assert before is None or not _usable(before) or _LONE_SURROGATE.search(data)
        return before, None
    assert before is not None
    assert _usable(before)
    return before, found


def _look_at(data: bytes, found: Body) -> None:
    """Do what is done with every body that is accepted."""
    told = claims(Head(b"POST", b"/v1/messages", _HEADERS))
    assert identify(told, found, _KNOWN).type
    assert sub_agent(told, found) is not None or found.agent_type is not None
    first_prompt(found)
    assert read_shape(found).context_tokens
    asked = Asked(("p",), found.model, b"/v1/messages", b"")
    key = cache_key(data, asked, any_temperature=True)
    assert key == cache_key(found.forwarded(found.model), asked, any_temperature=True)
    assert _parts(data, least=0) == _parts(data, least=len(data) + 1)


def _parts(data: bytes, *, least: int) -> tuple[object, ...]:
    """Return what is found in a body whose messages are cut out, or are not, by its length."""
    found = outline(data, least=least)
    messages = found.messages
    with contextlib.suppress(msgspec.DecodeError):
        messages = messages or read_messages(found.values.get("messages", b""))
    values = [(name, bytes(value)) for name, value in found.values.items()]
    return values, found.members(), messages


def _usable(document: Members) -> bool:
    """Return whether it names one model, and nothing the gateway reads stands twice."""
    names = [name for name, _ in document]
    named = dict(document)
    texts = [named.get("model"), named.get("agent_type", "none")]
    return all(names.count(name) <= 1 for name in SINGULAR) and all(
        isinstance(text, str) and not isinstance(text, standard.Number) and text for text in texts
    )
