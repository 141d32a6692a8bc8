"""What a message and its usage objects say, as they stand on the wire. Pure."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from gateway.wire.decoding import UNREADABLE
from gateway.wire.usage import STANDARD, Count, Reading, Terms, Usage


class _Creation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class _ServerTools(msgspec.Struct, gc=False):
    web_search_requests: Count | None = None


class _Tokens(msgspec.Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: _Creation | None = None


class _Step(_Tokens, gc=False):
    type: str | None = None
    model: str | None = None


class MessageUsage(_Tokens, gc=False):
    """The usage object of a message or of an event."""

    server_tool_use: _ServerTools | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: tuple[_Step, ...] | None = None


class Message(msgspec.Struct, gc=False):
    """What is read of a message: the rest of it is nobody's business here."""

    model: str | None = None
    usage: MessageUsage | None = None


_decode_message = msgspec.json.Decoder(Message).decode


def read_message(body: bytes) -> Reading:
    """Return what a complete JSON answer says; an empty reading when it is no message."""
    tally = Tally()
    model = tally.read(body)
    return Reading(tally.usage(), model)


class Tally:
    """Adds up the usage objects of one answer.

    Output, terms and steps are the last one's, all else is the largest seen: a later object repeats
    the input counts, leaves them out, or (after server tools) raises them.
    """

    __slots__ = (
        *("_cached", "_hour", "_input", "_minutes", "_output", "_read", "_searches"),
        *("_seen", "_steps", "_terms"),
    )

    def __init__(self) -> None:
        self._seen = False
        self._input = self._output = self._cached = self._minutes = self._hour = self._read = 0
        self._searches = 0
        self._steps: tuple[_Step, ...] = ()
        self._terms = STANDARD

    def read(self, data: bytes) -> str | None:
        """Add the `usage` of a message or event, if any, and return its `model`, None if unsaid."""
        try:
            message = _decode_message(data)
        except UNREADABLE:
            return None
        if message.usage is not None:
            self.add(message.usage)
        return message.model

    def add(self, usage: MessageUsage) -> None:
        """Add one usage object."""
        self.add_tokens(usage)
        if usage.server_tool_use is not None:
            searches = usage.server_tool_use.web_search_requests or 0
            self._searches = max(self._searches, searches)
        if usage.service_tier or usage.speed or usage.inference_geo:
            self._terms = _terms(usage, self._terms)
        self._steps = usage.iterations or self._steps

    def add_tokens(self, tokens: _Tokens) -> None:
        """Add the tokens of one usage object, or of one step."""
        self._seen = True
        if tokens.output_tokens is not None:
            self._output = tokens.output_tokens
        self._input = max(self._input, tokens.input_tokens or 0)
        self._cached = max(self._cached, tokens.cache_creation_input_tokens or 0)
        self._read = max(self._read, tokens.cache_read_input_tokens or 0)
        creation = tokens.cache_creation
        if creation is not None:
            self._minutes = max(self._minutes, creation.ephemeral_5m_input_tokens or 0)
            self._hour = max(self._hour, creation.ephemeral_1h_input_tokens or 0)

    def usage(self) -> Usage | None:
        """Return the sum; cache writes without a stated lifetime count as five minutes.

        None when no usage object was added.
        """
        if not self._seen:
            return None
        minutes = max(self._minutes, self._cached - self._hour)
        tokens = (self._input, self._output, minutes, self._hour, self._read)
        steps, terms = self._steps, self._terms
        strange = [step.type or "nameless" for step in steps if step.type not in _STEPS]
        if strange:
            terms = replace(terms, other=strange[0])
        several = len(steps) > 1 or any(step.type != "message" for step in steps)
        taken = tuple(_step(step) for step in steps) if several else ()
        return Usage(*tokens, web_searches=self._searches, terms=terms, steps=taken)


_USUAL = frozenset({"standard", "global", "not_available"})
_STEPS = frozenset({"message", "compaction", "advisor_message"})
"""Steps of an answer that cost what their tokens cost; a way back to another model does not."""


def _terms(usage: MessageUsage, before: Terms) -> Terms:
    """Return the terms a usage object tells; what it does not name stays as before."""
    told = (usage.service_tier, usage.speed, usage.inference_geo)
    known = (before.tier, before.speed, before.geo)
    return Terms(
        *(
            old if not new else None if new in _USUAL else new
            for new, old in zip(told, known, strict=True)
        )
    )


def _step(step: _Step) -> tuple[str | None, Usage]:
    """Return one step; only an adviser is another model than the one that answered."""
    tally = Tally()
    tally.add_tokens(step)
    return step.model or "" if step.type == "advisor_message" else None, tally.usage() or Usage()
