"""Bring one provider's answer to the client: whole, streamed, translated or broken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache, partial
from typing import NoReturn, Protocol

import msgspec
from msgspec.structs import replace

from gateway import describe
from gateway.account import LEFT, Account
from gateway.agents.spawns import SpawnReader, can_spawn, read_spawns
from gateway.body_log import LoggedSink
from gateway.dispatch import Sent
from gateway.encoded import DecodedSink, EncodedRelay, decoded, pump, unread
from gateway.errors import NoRoom, RequestError, UpstreamError
from gateway.metrics.meters import Metrics
from gateway.redact import redact
from gateway.relay import FilteredRelay, PlainRelay, StreamRelay, TranslatedRelay
from gateway.spawn_gate import SpawnGate
from gateway.store.ledger import Ledger
from gateway.sub_agents import SubAgents
from gateway.translate import usage_chunk
from gateway.translate.usage_chunk import UsageFilter
from gateway.upstream.origin import Answer, Sink
from gateway.wire.answers import error_event
from gateway.wire.chat_usage import ChatMeter, read_chat
from gateway.wire.content_coding import PLAIN_CODINGS, Decoder, Undecodable, decoder_of
from gateway.wire.decoded_meter import DecodedMeter
from gateway.wire.formats import STREAM_TYPES, Translator, Wire
from gateway.wire.http import Header, Responder
from gateway.wire.message_usage import read_message
from gateway.wire.stream_meter import StreamMeter
from gateway.wire.usage import Reading

MAX_BUFFERED_BYTES = 8 * 1024 * 1024
"""Larger answers are streamed, without the headers that say what they cost.

So is an answer for which the worker has no memory left, unless it is a small one.
"""

SMALL_BYTES = 64 * 1024
_MAX_TYPE_BYTES = 256

# Of a translated answer the provider's other headers would describe what the client never sees.
_TRANSLATED = frozenset({b"retry-after", b"x-should-retry", b"request-id", b"x-request-id"})
_MESSAGES, _CHAT = Wire.MESSAGES, Wire.CHAT  # bound once, see `account`
_EVENT_STREAM: Header = (b"content-type", b"text/event-stream; charset=utf-8")
_JSON: Header = (b"content-type", b"application/json")


class Record(Protocol):
    """Writes the exchange's one record; later calls change nothing."""

    def __call__(
        self,
        status: int,
        reading: Reading | None = None,
        *,
        error: str | None = None,
        stream: bool = False,
    ) -> asyncio.Future[bool]:
        """Queue the record."""


class Delivery(msgspec.Struct, frozen=True):
    """One answer on its way.

    Attributes:
        sub_agents: Where sub-agents that the answer starts are noted.
    """

    account: Account
    responder: Responder
    record: Record
    ledger: Ledger
    metrics: Metrics
    sub_agents: SubAgents

    def deliver(self, sent: Sent) -> Awaitable[None]:
        """Return what passes the answer on and records it.

        Raises RequestError, also when it is awaited, and UpstreamError then, for what is left to
        say when the answer cannot be passed on.
        """
        said = sent.answer.first
        kind = said.get(b"content-type", b"")
        coding = said.get(b"content-encoding")
        decoder = None if coding in PLAIN_CODINGS else decoder_of(coding or b"")
        ok = sent.ok
        if not ok and sent.own_key_refused:
            return _refuse_own_key(sent)
        if _media_type(kind) == STREAM_TYPES[sent.candidate.link.wire]:
            if ok:
                return self._watched_stream(sent, decoder)
            if sent.translator is None:
                return self._plain(sent, PlainRelay(self.responder, keep_last=False))
        return self._whole(sent, decoder, ok=ok)

    async def _whole(self, sent: Sent, decoder: Decoder | None, *, ok: bool) -> None:
        account, answer, translator = self.account, sent.answer, sent.translator
        body, whole = answer.all_there(SMALL_BYTES), True
        if body is None:
            body, whole = await self._waited_for(sent)
        account.first_at = time.perf_counter()
        said = body
        if decoder is not None:
            said = await self._decoded(sent, decoder, body if whole else b"")
        if account.answer_log is not None:
            account.answer_log.add(said)
        if not whole:
            if translator is not None:
                raise _unusable(sent, "the answer is too large to be translated")
            await self._plain(sent, PlainRelay(self.responder, keep_last=True, first=body))
            return
        reading = None
        if translator is not None:
            reading = translator.reading(said) if ok else None
            body = said = self._translated(sent, translator, said, reading)
        elif ok:
            reading = read_chat(said) if account.wire is _CHAT else read_message(said)
        error = None if ok else describe.error_text(answer.status, said)
        session_id = self._watched()
        if session_id is not None:
            self._notice_spawns(session_id, said)  # committed with the record or before it
        await self.ledger.in_time(self.record(answer.status, reading, error=error))
        # Of two lengths the last one counts, so what the provider said of its own is not passed on.
        length = (b"content-length", b"%d" % len(body))
        if translator is None:
            headers = (*answer.headers, account.id_header, length)
        else:
            headers = (*self._of_translated(answer, _JSON), length)
        self.metrics.overhead(account.own_s())
        self.responder.start(answer.status, headers, body, account.annotations())
        self.responder.end()

    def _translated(
        self, sent: Sent, translator: Translator, body: bytes, reading: Reading | None
    ) -> bytes:
        """Return the client's form of a whole answer, or of an error.

        Raises RequestError (502); what such an answer says it cost is recorded all the same.
        """
        if not sent.ok:
            return translator.error(sent.answer.status, body)
        try:
            return translator.answer(body)
        except UpstreamError as error:
            refusal = error.refusal(sent.candidate.link.name)
            self.record(refusal.status, reading, error=redact(str(refusal)))
            raise refusal from error

    async def _decoded(self, sent: Sent, decoder: Decoder, body: bytes) -> bytes:
        """Return what an encoded body says; empty when that cannot be found out.

        Raises RequestError (502) for an answer that has to be translated.
        """
        try:
            memory = self.account.request.memory
            return await decoded(decoder, body, memory, MAX_BUFFERED_BYTES)
        except Undecodable as error:
            self._lose(sent, error)
            if sent.translator is None or not sent.ok:
                return b""
            raise _unusable(sent, f"the answer cannot be translated: {error}") from error

    async def _waited_for(self, sent: Sent) -> tuple[bytes, bool]:
        """Return what `_buffered` does, and note how long that took."""
        since = time.perf_counter()
        found = await self._buffered(sent)
        self.account.waited_s += time.perf_counter() - since
        return found

    async def _buffered(self, sent: Sent) -> tuple[bytes, bool]:
        """Read as much of an answer as may be kept; return whether that is all of it.

        Raises RequestError (503) when there is no memory for what has to be translated.
        """
        answer, timeout_s = sent.answer, _timeout_s(sent)
        body, whole = await answer.read(SMALL_BYTES, idle_timeout_s=timeout_s)
        if whole:
            return body, True
        told = answer.first.get(b"content-length", b"")
        room = int(told) if told.isdigit() else MAX_BUFFERED_BYTES
        if room > MAX_BUFFERED_BYTES:
            return body, False
        if not self.account.request.memory.try_more(room):
            if sent.translator is not None:
                raise NoRoom(
                    "the gateway has no memory left to translate the answer; try again later"
                )
            return body, False
        rest, whole = await answer.read(MAX_BUFFERED_BYTES - len(body), idle_timeout_s=timeout_s)
        return body + rest, whole

    async def _plain(self, sent: Sent, relay: PlainRelay) -> None:
        """Pass on a body that is not looked into: too large, or a streamed error."""
        answer, account = sent.answer, self.account
        if answer.first.get(b"content-encoding") not in PLAIN_CODINGS:
            account.answer_log = None  # what cannot be read has its secrets in it
        self.metrics.overhead(account.own_s())
        self.responder.start(answer.status, (*answer.headers, account.id_header))
        await self._pump(sent, relay)
        account.first_at = account.first_at or relay.first_at
        error = None if sent.ok else describe.error_text(answer.status, b"")
        await self.ledger.in_time(self.record(answer.status, error=error))
        relay.close()
        self.responder.end()

    async def _watched_stream(self, sent: Sent, decoder: Decoder | None) -> None:
        """Pass a stream on; calls that start sub-agents only once these are expected."""
        session_id = self._watched()
        if session_id is None or (decoder is not None and sent.translator is None):
            await self._stream(sent, decoder)
        else:
            gate = SpawnGate(self.responder, partial(self.sub_agents.expect, session_id))
            await replace(self, responder=gate)._stream(sent, decoder)
            await gate.settled()
        self.responder.end()

    async def _stream(self, sent: Sent, decoder: Decoder | None) -> None:
        """Pass on a stream up to its end."""
        answer, account = sent.answer, self.account
        meter = self._meter()

        def record() -> asyncio.Future[bool]:
            account.first_at = relay.first_at
            error = None if meter.error is None else redact(meter.error)
            return self.record(answer.status, relay.reading(), error=error, stream=True)

        if decoder is None or sent.translator is not None:
            relay = self._relay(sent, meter, record)
        else:
            meter = copy = DecodedMeter(meter, *self._readers())
            relay = EncodedRelay(self.responder, copy, record)
        headers = self._of_stream(sent)
        self.metrics.overhead(account.own_s())
        self.responder.start(answer.status, headers, lines=sent.candidate.told.lines)
        problem: str | None = None
        try:
            with self.metrics.stream(meter):
                await self._pump(sent, relay, decoder)
                relay.finish()
        except UpstreamError as error:
            problem = redact(f"the provider's stream broke off ({error.fault}): {error}")
            relay.break_off()
        except asyncio.CancelledError:
            account.first_at = relay.first_at
            self.record(answer.status, relay.reading(), error=LEFT, stream=True)
            raise
        await relay.settled()
        self.ledger.late += relay.late
        if not relay.stopped:
            account.first_at = relay.first_at
            await self._end_broken(sent, meter, problem, relay)

    async def _end_broken(
        self, sent: Sent, meter: StreamMeter, problem: str | None, relay: StreamRelay
    ) -> None:
        """End a stream that did not reach its terminal event so that every client notices."""
        told = meter.error is not None and problem is None
        text = problem or "the provider's stream ended before its terminal event"
        reason = redact(meter.error) if told and meter.error is not None else text
        status = sent.answer.status
        await self.ledger.in_time(self.record(status, relay.reading(), error=reason, stream=True))
        if not told and sent.translator is None:  # a translator has said so itself
            account = self.account
            relay.tell(error_event("api_error", text, account.id, account.wire))

    # -- what a stream passes through

    def _meter(self) -> StreamMeter:
        if self.account.wire is _CHAT:
            return ChatMeter()
        return StreamMeter()

    def _relay(
        self, sent: Sent, meter: StreamMeter, record: Callable[[], asyncio.Future[bool]]
    ) -> StreamRelay:
        account = self.account
        body = account.body
        if sent.translator is not None:
            asked = body is not None and usage_chunk.wanted(body)
            translator = sent.translator.stream(trailing_usage=asked)
            return TranslatedRelay(self.responder, meter, record, translator)
        if body is not None and sent.candidate.link.adds_usage(account.wire, body):
            return FilteredRelay(self.responder, meter, record, UsageFilter())
        return StreamRelay(self.responder, meter, record)

    def _readers(self) -> Iterator[Callable[[bytes], object]]:
        """Yield what beside its meter reads a stream that passes in an encoding."""
        log, session_id = self.account.answer_log, self._watched()
        if log is not None:
            yield log.add
        if session_id is not None:
            yield partial(self._notice_calls, session_id, SpawnReader())

    async def _pump(
        self, sent: Sent, relay: StreamRelay | PlainRelay, decoder: Decoder | None = None
    ) -> None:
        """Push a body into a relay; what it says is read, or translated, where that is encoded."""
        self.responder.throttle(sent.answer.read_side)
        try:
            log = self.account.answer_log
            sink = relay if log is None else LoggedSink(relay, log)
            if decoder is None:
                await sent.answer.pump(sink, idle_timeout_s=_timeout_s(sent))
            else:
                reader = self._reader(sent, relay, decoder, sink)
                await pump(sent.answer, reader, idle_timeout_s=_timeout_s(sent))
        finally:
            self.responder.throttle(None)

    def _reader(self, sent: Sent, relay: object, decoder: Decoder, sink: Sink) -> DecodedSink:
        """Return what reads an encoded body before it passes, else what sends on what it says."""
        lose = partial(self._lose, sent)
        if isinstance(relay, EncodedRelay):
            return relay.reading_along(decoder, lose)
        return DecodedSink(decoder, sink.body, lose)

    def _lose(self, sent: Sent, cause: Undecodable) -> None:
        """Say that an answer cannot be read: what it cost is not known."""
        name = sent.candidate.link.name
        self.metrics.unread(name)
        unread(name, cause)

    # -- helpers

    def _of_stream(self, sent: Sent) -> tuple[Header, ...]:
        """Return what the head of a stream says first.

        A stated length would leave no room for the event that ends a broken stream.
        """
        if sent.translator is not None:
            return self._of_translated(sent.answer, _EVENT_STREAM)
        kept = [header for header in sent.answer.headers if header[0] != b"content-length"]
        return (*kept, self.account.id_header)

    def _of_translated(self, answer: Answer, kind: Header) -> tuple[Header, ...]:
        """Return what the head of a translated answer says first."""
        kept = [header for header in answer.headers if header[0] in _TRANSLATED]
        return (*kept, self.account.id_header, kind)

    def _notice_spawns(self, session_id: str, body: bytes) -> None:
        spawns = read_spawns(body)
        if spawns:
            self.sub_agents.expect(session_id, spawns)

    def _notice_calls(self, session_id: str, reader: SpawnReader, data: bytes) -> None:
        started = reader.feed(data)
        if started is not None:
            self.sub_agents.expect(session_id, started.spawns)

    def _watched(self) -> str | None:
        """Return the session whose sub-agents this answer may start, or None."""
        account = self.account
        session_id = account.sender.session_id
        if account.wire is not _MESSAGES or account.body is None or not session_id:
            return None
        return session_id if can_spawn(account.body.raw("tools")) else None


async def _refuse_own_key(sent: Sent) -> NoReturn:
    """Raise RequestError (503), with what the provider says."""
    body, _ = await sent.answer.read(SMALL_BYTES, idle_timeout_s=_timeout_s(sent))
    raise describe.own_key_refused(sent.candidate.link.name, sent.answer.status, body)


@lru_cache(64)
def _media_type(value: bytes) -> bytes:
    return value[:_MAX_TYPE_BYTES].partition(b";")[0].strip().lower()


def _unusable(sent: Sent, problem: str) -> RequestError:
    return RequestError(502, "api_error", f"provider {sent.candidate.link.name}: {problem}")


def _timeout_s(sent: Sent) -> float:
    return sent.candidate.link.settings.timeout_s
