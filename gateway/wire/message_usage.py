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
    try:
        message = _decode_message(body)
    except UNREADABLE:
        return Reading()
    usage = message.usage
    return Reading(None if usage is None else counted(usage), message.model)


def counted(usage: MessageUsage) -> Usage:
    """Return what the usage object of a message says, its terms, searches and steps included."""
    tools, steps = usage.server_tool_use, usage.iterations
    searches = 0 if tools is None else tools.web_search_requests or 0
    terms = _terms(usage.service_tier, usage.speed, usage.inference_geo)
    if not steps:
        return _usage(usage, searches, terms)
    strange = [step.type or "nameless" for step in steps if step.type not in _STEPS]
    if strange:
        terms = replace(terms, other=strange[0])
    several = len(steps) > 1 or any(step.type != "message" for step in steps)
    taken = tuple(_step(step) for step in steps) if several else ()
    return _usage(usage, searches, terms, taken)


class Tally:
    """Adds up the usage objects of one answer.

    Output, terms and steps are the last one's, all else is the largest seen: a later object repeats
    the input counts, leaves them out, or (after server tools) raises them.
    """

    __slots__ = ("_sum",)

    def __init__(self) -> None:
        self._sum: MessageUsage | None = None

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
        self._sum = usage if self._sum is None else _merged(self._sum, usage)

    def usage(self) -> Usage | None:
        """Return the sum; None when no usage object was added."""
        return None if self._sum is None else counted(self._sum)


_USUAL = frozenset({None, "", "standard", "global", "not_available"})
_STEPS = frozenset({"message", "compaction", "advisor_message"})
"""Steps of an answer that cost what their tokens cost; a way back to another model does not."""


def _merged(old: MessageUsage, new: MessageUsage) -> MessageUsage:
    """Return what two usage objects of one answer say together."""
    output = old.output_tokens if new.output_tokens is None else new.output_tokens
    return MessageUsage(
        input_tokens=_larger(old.input_tokens, new.input_tokens),
        output_tokens=output,
        cache_creation_input_tokens=_larger(
            old.cache_creation_input_tokens, new.cache_creation_input_tokens
        ),
        cache_read_input_tokens=_larger(old.cache_read_input_tokens, new.cache_read_input_tokens),
        cache_creation=_written(old.cache_creation, new.cache_creation),
        server_tool_use=_searched(old.server_tool_use, new.server_tool_use),
        service_tier=new.service_tier or old.service_tier,
        speed=new.speed or old.speed,
        inference_geo=new.inference_geo or old.inference_geo,
        iterations=new.iterations or old.iterations,
    )


def _larger(one: int | None, other: int | None) -> int:
    return max(one or 0, other or 0)


def _written(old: _Creation | None, new: _Creation | None) -> _Creation | None:
    if old is None or new is None:
        return old or new
    return _Creation(
        _larger(old.ephemeral_5m_input_tokens, new.ephemeral_5m_input_tokens),
        _larger(old.ephemeral_1h_input_tokens, new.ephemeral_1h_input_tokens),
    )


def _searched(old: _ServerTools | None, new: _ServerTools | None) -> _ServerTools | None:
    if old is None or new is None:
        return old or new
    return _ServerTools(_larger(old.web_search_requests, new.web_search_requests))


def _usage(
    told: _Tokens,
    searches: int = 0,
    terms: Terms = STANDARD,
    steps: tuple[tuple[str | None, Usage], ...] = (),
) -> Usage:
    """Return one usage object; cache writes of no stated lifetime are for 5 minutes."""
    cached, creation = told.cache_creation_input_tokens or 0, told.cache_creation
    minutes = hour = 0
    if creation is not None:
        minutes = creation.ephemeral_5m_input_tokens or 0
        hour = creation.ephemeral_1h_input_tokens or 0
    if cached > minutes + hour:
        minutes = cached - hour
    input_, output = told.input_tokens or 0, told.output_tokens or 0
    read = told.cache_read_input_tokens or 0
    return Usage(input_, output, minutes, hour, read, searches, terms, steps)


def _terms(tier: str | None, speed: str | None, geo: str | None) -> Terms:
    if tier in _USUAL and speed in _USUAL and geo in _USUAL:
        return STANDARD
    return Terms(*(None if word in _USUAL else word for word in (tier, speed, geo)))


def _step(step: _Step) -> tuple[str | None, Usage]:
    """Return one step; only an adviser is another model than the one that answered."""
    adviser = step.model or "" if step.type == "advisor_message" else None
    return adviser, _usage(step)
