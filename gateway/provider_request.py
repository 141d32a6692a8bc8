"""A client's request as one provider gets it; takes memory for it, and is pure but for that."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.candidates import Candidate
from gateway.errors import NoRoom, RequestError
from gateway.translate import usage_chunk
from gateway.wire.body import Body
from gateway.wire.formats import Translator, Wire
from gateway.wire.http import Header, Request

Translators = Mapping[tuple[Wire, Wire], Translator]
"""By the client's format and the provider's."""


class Call(msgspec.Struct, frozen=True):
    """A client's request as every provider would get it.

    Attributes:
        wire: The client's format.
        target: Path and query in the client's API.
        vendor: Whose key the client shows; None when it shows a token of the gateway's.
        announcement: Lines for the log that wait for the first word about a provider: what is
            written at once costs a fraction.
    """

    request_id: str
    wire: Wire
    request: Request
    body: Body
    target: bytes
    vendor: str | None
    announcement: list[str] = msgspec.field(default_factory=list)


class ProviderRequest(msgspec.Struct, frozen=True):
    """What one provider is sent.

    Attributes:
        target: Path and query in the provider's API.
        translator: Turns the answer into the client's format; None when it is.
    """

    candidate: Candidate
    target: bytes
    headers: tuple[Header, ...]
    body: bytes
    translator: Translator | None


def prepare(call: Call, candidate: Candidate, translators: Translators) -> ProviderRequest:
    """Return what to send.

    Raises RequestError: 400 for what the provider's format cannot say, 503 when the provider lacks
    a key or the worker the memory.
    """
    link, adaptation = candidate.link, candidate.adaptation
    link.ready(call.vendor)
    headers = adaptation.headers(call.request.headers)
    body = call.body.forwarded(candidate.model, adaptation.edits)
    path, _, query = call.target.partition(b"?")
    translator = None
    if link.wire is not call.wire:
        translator = translators.get((call.wire, link.wire))
        if translator is None:
            text = (
                f"provider {link.name} speaks {link.wire}, which {call.wire} is not translated to"
            )
            raise RequestError(400, "invalid_request_error", text)
        body, path, query = translator.request(body, candidate.model), translator.path, b""
    elif link.adds_usage(call.wire, call.body):
        body = usage_chunk.added(body)
    if body is not call.request.body and not call.request.memory.try_more(len(body)):
        raise NoRoom("there is no room for the request as its provider needs it")
    target = link.dialect.target(link.settings, path, query, candidate.model)
    sent = link.headers(headers, call.wire, call.vendor)
    return ProviderRequest(candidate, target, sent, body, translator)
