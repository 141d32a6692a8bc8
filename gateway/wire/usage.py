"""Take token usage, model and completeness from an answer while its bytes pass by. Pure.

A streamed answer costs three substring searches a piece; an event is decoded only when one of the
words occurs in it. Line ends may be LF or CRLF.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec.structs import replace

from gateway.wire import sse
from gateway.wire.decoding import UNREADABLE

MAX_EVENT_BYTES = 256 * 1024
"""A longer event is passed on without being looked at."""

Count = Annotated[int, msgspec.Meta(ge=0, le=10**10)]
"""Tokens, less than which no model can take: nonsense must not reach the ledger's integers."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """On what terms an answer was made, as far as they change its price; None is the usual.

    Attributes:
        tier: Service tier, e.g. "batch".
        speed: E.g. "fast".
        geo: Where the model had to run, e.g. "us".
        other: Anything else, e.g. "fallback_message".
    """

    tier: str | None = None
    speed: str | None = None
    geo: str | None = None
    other: str | None = None


STANDARD = Terms()


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer. Input excludes what was written to or read from the prompt cache.

    Attributes:
        web_searches: Searches the provider made, which it charges one by one.
        steps: What is billed when an answer took several steps, each with the model that took it
            (None: the one that answered); some are not part of the tokens above. Empty: one step.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    web_searches: int = 0
    terms: Terms = STANDARD
    steps: tuple[tuple[str | None, Usage], ...] = ()

    @property
    def prompt_tokens(self) -> int:
        """The whole prompt, cached or not."""
        written = self.cache_write_5m_tokens + self.cache_write_1h_tokens
        return self.input_tokens + written + self.cache_read_tokens

    @property
    def unusual(self) -> tuple[str, ...]:
        """What, beside the tokens, decides its price, one word each; empty for most answers."""
        terms = self.terms
        words = [word for word in (terms.tier, terms.speed, terms.geo, terms.other) if word]
        words += ["web_search"] if self.web_searches else []
        return (*words, "steps") if self.steps else tuple(words)


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What an answer said about itself.

    Attributes:
        usage: None when the answer held none.
        model: The model that answered; None when not said.
    """

    usage: Usage | None = None
    model: str | None = None


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


class _Usage(_Tokens, gc=False):
    server_tool_use: _ServerTools | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: tuple[_Step, ...] | None = None


class _Message(msgspec.Struct, gc=False):
    model: str | None = None
    usage: _Usage | None = None


class StreamError(msgspec.Struct, gc=False):
    """The error that ends a stream, in Anthropic's format and OpenAI's alike."""

    type: str | None = None
    message: str | None = None

    def __str__(self) -> str:
        return f"{self.type or 'error'}: {self.message or 'no message'}"


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: StreamError | None = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def read_message(body: bytes) -> Reading:
    """Return what a complete JSON answer says; an empty reading when it is no message."""
    tally = Tally()
    model = tally.read(body)
    return Reading(tally.usage(), model)


class StreamMeter:
    """Feed it the pieces of an event stream in order.

    Attributes:
        stop_at: Once `message_stop` was seen: offset of that event in the piece that completed it
            (0 when it began in an earlier piece); else None.
        error: Text of a mid-stream `error` event, or None.
    """

    stop_word: ClassVar[bytes] = b"message_stop"
    """Occurs in the event that ends a stream."""

    _words: ClassVar[tuple[bytes, ...]] = (b'"usage"', b"message_stop", b"error")
    _delta_words: ClassVar[tuple[bytes, ...]] = (b"content_block_delta\n", b"content_block_delta\r")

    __slots__ = ("_deltas", "_final", "_model", "_skipping", "_tail", "_tally", "error", "stop_at")

    def __init__(self) -> None:
        self.stop_at: int | None = None
        self.error: str | None = None
        self._tally = Tally()
        self._model: str | None = None
        self._tail = b""
        self._skipping = False
        self._final = False
        self._deltas = 0

    @property
    def pending(self) -> bool:
        """Whether an event has begun and not ended."""
        return bool(self._tail) or self._skipping

    def feed(self, piece: bytes) -> None:
        """Look at the next piece."""
        carried = len(self._tail)
        data = self._tail + piece if carried else piece
        end = sse.last_break(data)
        if end < 0:
            self._keep(data)
            return
        self._tail = data[end:]
        start = 0
        if self._skipping:
            self._skipping = False
            first = sse.BREAK.search(data)
            start = end if first is None else first.end()
        for word in self._delta_words:
            self._deltas += data.count(word, start, end)
        for word in self._words:
            if data.find(word, start, end) >= 0:
                self._events(data, start, end, carried)
                break

    def reading(self) -> Reading:
        """Return what is known so far.

        Until the final count came, output is at least one token a delta: what a client that left
        has received is not free.
        """
        usage = self._tally.usage()
        if usage is not None and not self._final and usage.output_tokens < self._deltas:
            usage = replace(usage, output_tokens=self._deltas, steps=())
        return Reading(usage, self._model)

    def _keep(self, data: bytes) -> None:
        if len(data) <= MAX_EVENT_BYTES:
            self._tail = data
        else:
            # The last bytes stay: the blank line that ends the event may be split.
            self._skipping, self._tail = True, data[-3:]

    def _events(self, data: bytes, start: int, end: int, carried: int) -> None:
        for at, event in sse.split(data, start, end):
            if any(word in event for word in self._words):
                self._event(event, max(0, at - carried))

    def _event(self, event: bytes, at: int) -> None:
        name, payload = sse.fields(event)
        try:
            data = _decode_event(payload)
        except UNREADABLE:
            data = _Event()
        kind = data.type or name
        if kind == "message_stop" and self.stop_at is None:
            self.stop_at = at
        elif kind == "error":
            self.error = str(data.error or StreamError())
        if data.message is not None:
            self._model = data.message.model or self._model
        usage = data.usage if data.message is None else data.message.usage
        if usage is not None:
            self._tally.add(usage)
            self._final = self._final or kind == "message_delta"


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

    def add(self, usage: _Usage) -> None:
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


def _terms(usage: _Usage, before: Terms) -> Terms:
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
