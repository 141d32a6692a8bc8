"""A client's request as one provider gets it; takes memory for it, and is pure but for that.

What of the request depends on the whole conversation is changed here, and not when it is decided
who is asked: most requests never come to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from gateway.candidates import Candidate
from gateway.errors import NoRoom, RequestError
from gateway.links import Link
from gateway.log_lines import encoded
from gateway.providers.anthropic import unsigned_thinking
from gateway.translate import usage_chunk
from gateway.translate.unsigned import SIGNATURE, Unsigned
from gateway.wire.body import Body
from gateway.wire.form import OPENAI, Form
from gateway.wire.formats import Translator, Wire
from gateway.wire.http import Request

_MESSAGES = Wire.MESSAGES  # bound once, see `candidates`

Translators = Mapping[tuple[Wire, Wire], Translator]
"""By the client's format and the provider's."""

MAX_WAYS = 4
"""How many providers' heads are kept with a client's head: most meet one candidate or two."""


class Call(msgspec.Struct, frozen=True):
    """A client's request as every provider would get it.

    Attributes:
        wire: The client's format.
        target: Path and query in the client's API.
        vendor: Whose key the client shows; None when it shows a token of the gateway's.
        announcement: Lines of the log, encoded, that wait for the first word about a provider:
            what is written at once costs a fraction.
    """

    request_id: str
    wire: Wire
    request: Request
    body: Body
    target: bytes
    vendor: str | None
    announcement: list[bytes] = msgspec.field(default_factory=list)


class ProviderRequest(msgspec.Struct, frozen=True, eq=False):
    """What one provider is sent; holds keys, and shows none of them when it is printed.

    Attributes:
        candidate: With all that was changed for it.
        head: All of the request's head but the length of the body, see `Origin.head`.
        translator: Turns the answer into the client's format; None when it is.
    """

    candidate: Candidate
    head: bytes
    body: bytes
    translator: Translator | None

    __repr__ = object.__repr__


def prepare(call: Call, candidate: Candidate, translators: Translators) -> ProviderRequest:
    """Return what to send.

    Raises RequestError: 400 for what the provider's format cannot say, 503 when the provider lacks
    a key or the worker the memory.
    """
    link, adaptation = candidate.link, candidate.adaptation
    # On a head that the client sends again and again most is found out already.
    key: _Key = (link, candidate.model, adaptation.betas, call.wire, call.target, call.vendor)
    way: _Way | None = call.request.head.notes.get(key)
    if way is None or way.translators is not translators:
        way = _note_way(key, call, candidate, translators)
    body = call.body.forwarded(candidate.model, adaptation.edits)
    if way.translator is not None:
        body = way.translator.request(body, candidate.model, way.form)
    elif way.unsigned is not None:
        # From behind, see `Body.mentions`.
        if body.rfind(SIGNATURE) >= 0 and way.unsigned.may_stand_in(body):
            candidate, body = _signed(call, candidate, body, way.unsigned)
    elif call.body.stream and link.adds_usage(call.wire, call.body):
        body = usage_chunk.added(body)
    if body is not call.request.body and not call.request.memory.try_more(len(body)):
        raise NoRoom("there is no room for the request as its provider needs it")
    return ProviderRequest(candidate, way.head, body, way.translator)


_Key = tuple[Link, str, tuple[str, ...], Wire, bytes, str | None]
"""Beside the client's head: the provider, its name of the model, the betas left out, the client's
format and target, whose key it shows."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Way:
    """How requests of one client's head are put to a candidate: all but the body. Holds keys.

    Attributes:
        translators: With which it was found, beside what is in the key.
        form: How the provider wants a request that is translated.
        unsigned: Which thinking has to be left out; None where none has, or a translator does it.
    """

    translators: Translators
    translator: Translator | None
    head: bytes
    form: Form
    unsigned: Unsigned | None


def _note_way(key: _Key, call: Call, candidate: Candidate, translators: Translators) -> _Way:
    """Find the way to a candidate and note it on the head.

    Raises RequestError when there is none, each time.
    """
    notes = call.request.head.notes
    way = _found(call, candidate, translators)
    ways = [key for key, note in notes.items() if isinstance(note, _Way)]
    if len(ways) >= MAX_WAYS:
        del notes[ways[0]]
    notes[key] = way
    return way


def _found(call: Call, candidate: Candidate, translators: Translators) -> _Way:
    link, translator, form = candidate.link, None, OPENAI
    link.ready(call.vendor)
    path, _, query = call.target.partition(b"?")
    if link.wire is not call.wire:
        translator = translators.get((call.wire, link.wire))
        if translator is None:
            text = (
                f"provider {link.name} speaks {link.wire}, which {call.wire} is not translated to"
            )
            raise RequestError(400, "invalid_request_error", text)
        path, query, form = translator.path, b"", link.form(candidate.model)
    target = link.dialect.target(link.settings, path, query, candidate.model)
    headers = candidate.adaptation.headers(call.request.headers)
    sent = link.headers(headers, call.wire, call.vendor)
    head = link.origin.head(b"POST", target, sent)
    signs = translator is None and link.wire is _MESSAGES
    unsigned = unsigned_thinking(link.settings) if signs else None
    return _Way(translators, translator, head, form, unsigned)


def _signed(
    call: Call, candidate: Candidate, body: bytes, unsigned: Unsigned
) -> tuple[Candidate, bytes]:
    """Return candidate and body without thinking that the provider does not take, if there is any.

    Args:
        body: As it would be sent.

    Raises:
        RequestError: A field stands twice where something may have to be left out (400).
    """
    adaptation, change = candidate.adaptation, unsigned.change
    edits = (*adaptation.edits, *change.edits)
    signed = call.body.forwarded(candidate.model, edits)
    if len(signed) == len(body):
        return candidate, body
    adaptation = replace(
        adaptation,
        changes=(*adaptation.changes, change),
        words=(*adaptation.words, change.word),
        edits=edits,
    )
    text = f"Request adapted: changes={change.word} request_id={call.request_id}"
    call.announcement.append(encoded(text))
    return replace(candidate, adaptation=adaptation), signed
