"""One request's life: parse, override, forward, relay, and exactly one audit record.

Whatever happens (the client leaves, the provider refuses, stalls or breaks off), the record is
written once, and an answer that is not whole never looks whole.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from dataclasses import dataclass, field

from gateway import describe
from gateway.config import OverrideSettings
from gateway.errors import RequestError, UpstreamError, UpstreamFault
from gateway.links import Link
from gateway.overrides import Overrides
from gateway.passthrough import forwarded_headers
from gateway.pricing import Pricing, usd
from gateway.redact import redact
from gateway.relay import COMMIT_WAIT_S, PlainRelay, StreamRelay
from gateway.store.ledger import Ledger
from gateway.store.records import AuditRecord, Endpoint, Shape
from gateway.upstream import Answer
from gateway.wire.answers import error_event, reply_error
from gateway.wire.body import Body
from gateway.wire.http import Header, Request, Responder
from gateway.wire.usage import Reading, StreamMeter, read_message

log = logging.getLogger(__name__)

MAX_BUFFERED_BYTES = 8 * 1024 * 1024
"""Larger answers are streamed, without the headers that say what they cost."""

CLIENT_LEFT = 499


@dataclass(slots=True)
class Counts:
    """What this worker has done since it started."""

    overrides: int = 0
    broken_streams: int = 0
    doubled_v1: int = 0
    resent: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """What every exchange of a worker shares."""

    link: Link
    overrides: Overrides
    override_settings: OverrideSettings
    pricing: Pricing
    ledger: Ledger
    boot_id: str
    counts: Counts = field(default_factory=Counts)
    seq: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


class Exchange:
    """One recorded request and its answer.

    A token count is forwarded like a message and overridden like one, because its answer must fit
    the model that will be used. It is recorded with cost 0 and left out of override statistics.
    """

    def __init__(
        self,
        service: Service,
        endpoint: Endpoint,
        request: Request,
        responder: Responder,
        request_id: str,
    ) -> None:
        self._service = service
        self._endpoint = endpoint
        self._request = request
        self._responder = responder
        self._id = request_id
        # The event loop's clock has steps of a millisecond; it says how long the upload took.
        upload_s = max(0.0, asyncio.get_running_loop().time() - request.received)
        self._begun = time.perf_counter() - upload_s
        self._at_us = time.time_ns() // 1000
        self._seq = next(service.seq)
        self._body: Body | None = None
        self._model: str | None = None
        self._sender = describe.Sender()
        self._shape = Shape()
        self._answer: Answer | None = None
        self._first_at: float | None = None
        self._recorded: asyncio.Future[bool] | None = None

    async def run(self, target: bytes) -> None:
        """Serve the request.

        Args:
            target: Path and query for the provider.
        """
        try:
            await self._serve(target)
        except RequestError as error:
            await self._refuse(error.status, error.kind, str(error))
        except UpstreamError as error:
            await self._upstream_failed(error)
        except asyncio.CancelledError:
            status = self._answer.status if self._responder.started and self._answer else None
            self._record(status or CLIENT_LEFT, error="the client left before the answer's end")
            raise
        except Exception as error:
            self._record(500, error=f"internal error: {type(error).__name__}")
            raise
        finally:
            if self._answer is not None:
                self._answer.release()

    async def _serve(self, target: bytes) -> None:
        service, link = self._service, self._service.link
        self._sender = describe.sender(self._request)
        body = self._body = Body(self._request.body)
        self._sender = describe.with_body(self._sender, body)
        self._shape = describe.shape(self._request, body)
        self._model = self._choose(body.model)
        self._log_route()
        dialect = link.ready()
        self._answer = answer = await link.origin.send(
            b"POST",
            target,
            dialect.request_headers(self._request.headers, link.key, link.extra),
            body.forwarded(self._model),
            head_timeout_s=link.settings.timeout_s,
        )
        if answer.resent:
            service.counts.resent += 1
            log.info("Request sent again on a new connection: request_id=%s", self._id)
        await self._relay(answer)

    def _choose(self, requested: str) -> str:
        """Return the model to ask for, and announce an override."""
        service = self._service
        target = service.overrides.target(requested)
        if target is None:
            return requested
        if self._endpoint is Endpoint.MESSAGES:
            service.counts.overrides += 1
            if service.override_settings.log_overrides:
                log.info("Model override: %s → %s", _line(requested), _line(target))
                log.info("Override count: %d", service.counts.overrides)
        return target

    def _log_route(self) -> None:
        agent, name = self._sender.agent_type or "unknown", self._service.link.name
        log.info("Routing request: agent_type=%s, provider=%s, reason=default", agent, name)
        log.info("Forwarding to provider: %s", name)

    # -- answers

    async def _relay(self, answer: Answer) -> None:
        kind = _value(answer.headers, b"content-type") or b""
        encoded = (_value(answer.headers, b"content-encoding") or b"identity") != b"identity"
        stream = kind.partition(b";")[0].strip().lower() == b"text/event-stream"
        if self._service.link.key is not None and answer.status in (401, 403):
            await self._own_key_refused(answer)
        elif stream and not encoded and 200 <= answer.status < 300:
            await self._relay_stream(answer)
        elif stream:
            await self._relay_plain(answer, PlainRelay(self._responder, keep_last=False))
        else:
            await self._relay_whole(answer, encoded=encoded)

    async def _relay_whole(self, answer: Answer, *, encoded: bool) -> None:
        timeout_s = self._service.link.settings.timeout_s
        body, whole = await answer.read(MAX_BUFFERED_BYTES, idle_timeout_s=timeout_s)
        self._first_at = time.perf_counter()
        if not whole:
            relay = PlainRelay(self._responder, keep_last=True, first=body)
            await self._relay_plain(answer, relay)
            return
        ok = 200 <= answer.status < 300
        reading = read_message(body) if ok and not encoded else Reading()
        error = None if ok else describe.error_text(answer.status, b"" if encoded else body)
        await self._committed(self._record(answer.status, reading, error=error))
        headers = [header for header in self._headers(answer) if header[0] != b"content-length"]
        headers += self._annotations(reading)
        headers.append((b"content-length", b"%d" % len(body)))
        self._responder.start(answer.status, tuple(headers), body)
        self._responder.end()

    async def _relay_plain(self, answer: Answer, relay: PlainRelay) -> None:
        """Pass on a body that is not looked into: too large, or in an encoding."""
        self._responder.start(answer.status, self._headers(answer))
        await self._pump(answer, relay)
        self._first_at = self._first_at or relay.first_at
        ok = 200 <= answer.status < 300
        error = None if ok else describe.error_text(answer.status, b"")
        await self._committed(self._record(answer.status, error=error))
        relay.close()
        self._responder.end()

    async def _relay_stream(self, answer: Answer) -> None:
        meter = StreamMeter()

        def record() -> asyncio.Future[bool]:
            self._first_at = relay.first_at
            error = None if meter.error is None else redact(meter.error)
            return self._record(answer.status, meter.reading(), error=error, stream=True)

        relay = StreamRelay(self._responder, meter, record)
        self._responder.start(answer.status, self._headers(answer) + self._names())
        problem: str | None = None
        try:
            await self._pump(answer, relay)
        except UpstreamError as error:
            problem = redact(f"the provider's stream broke off ({error.fault}): {error}")
        except asyncio.CancelledError:
            self._first_at = relay.first_at
            error_text = "the client left before the answer's end"
            self._record(answer.status, meter.reading(), error=error_text, stream=True)
            raise
        await relay.settled()
        self._service.ledger.late += relay.late
        if meter.stop_at is None:
            self._first_at = relay.first_at
            await self._end_broken(answer, meter, problem, mid_line=relay.mid_line)
        self._responder.end()

    async def _end_broken(
        self, answer: Answer, meter: StreamMeter, problem: str | None, *, mid_line: bool
    ) -> None:
        """End a stream that did not reach `message_stop` so that every client notices."""
        self._service.counts.broken_streams += 1
        told = meter.error is not None and problem is None
        text = problem or "the provider's stream ended before message_stop"
        reason = redact(meter.error) if told and meter.error is not None else text
        await self._committed(
            self._record(answer.status, meter.reading(), error=reason, stream=True)
        )
        if not told:
            # An unfinished line is ended, not dispatched: `event: error` names the whole event.
            separator = b"\n" if mid_line else b""
            self._responder.write(separator + error_event("api_error", text, self._id))

    async def _pump(self, answer: Answer, relay: StreamRelay | PlainRelay) -> None:
        self._responder.throttle(answer.read_side)
        try:
            await answer.pump(relay, idle_timeout_s=self._service.link.settings.timeout_s)
        finally:
            self._responder.throttle(None)

    async def _own_key_refused(self, answer: Answer) -> None:
        """Answer 503: nobody should be told to log in for a key that is not theirs."""
        body, _ = await answer.read(
            MAX_BUFFERED_BYTES, idle_timeout_s=self._service.link.settings.timeout_s
        )
        name, reason = self._service.link.name, describe.error_text(answer.status, body)
        text = f"provider {name} refused the gateway's own key: {reason}"
        raise RequestError(503, "api_error", text)

    async def _refuse(self, status: int, kind: str, message: str) -> None:
        """Answer with an error of the gateway's own."""
        message = redact(message)
        await self._committed(self._record(status, error=message))
        reply_error(self._responder, status, kind, message, self._id)

    async def _upstream_failed(self, error: UpstreamError) -> None:
        if self._responder.started:
            text = redact(f"the provider's answer broke off ({error.fault}): {error}")
            self._record(self._answer.status if self._answer else 502, error=text)
            self._responder.abort()
            return
        status = 504 if error.fault is UpstreamFault.TIMEOUT else 502
        name = self._service.link.name
        await self._refuse(status, "api_error", f"provider {name} failed ({error.fault}): {error}")

    # -- headers

    def _headers(self, answer: Answer) -> tuple[Header, ...]:
        return (*forwarded_headers(answer), (b"x-gateway-request-id", self._id.encode()))

    def _names(self) -> tuple[Header, ...]:
        """Return what is known before the answer: who is asked, and for which model."""
        model, requested = self._model or "", self._body.model if self._body else ""
        found = [
            (b"x-gateway-provider", describe.header_text(self._service.link.name)),
            (b"x-gateway-model", describe.header_text(model)),
        ]
        if model != requested:
            text = describe.header_text(f"{requested}=>{model}")
            found.append((b"x-gateway-override", text))
        return tuple(found)

    def _annotations(self, reading: Reading) -> tuple[Header, ...]:
        latency = b"%d" % round((time.perf_counter() - self._begun) * 1000)
        cost = self._cost(reading)
        known = () if cost is None else ((b"x-gateway-cost-usd", f"{usd(cost):f}".encode()),)
        return (*self._names(), *known, (b"x-gateway-latency-ms", latency))

    # -- the record

    def _cost(self, reading: Reading) -> int | None:
        """Return picodollars at the price of the model that answered; None when unknown."""
        if self._endpoint is Endpoint.COUNT_TOKENS:
            return 0
        model = reading.model or self._model
        if reading.usage is None or model is None:
            return None
        return self._service.pricing.cost(reading.usage, model)

    def _record(
        self,
        status: int,
        reading: Reading | None = None,
        *,
        error: str | None = None,
        stream: bool = False,
    ) -> asyncio.Future[bool]:
        """Queue the record of this exchange; later calls change nothing."""
        if self._recorded is None:
            entry = self._entry(status, reading or Reading(), error, stream=stream)
            self._recorded = self._service.ledger.record(entry)
        return self._recorded

    def _entry(
        self, status: int, reading: Reading, error: str | None, *, stream: bool
    ) -> AuditRecord:
        service = self._service
        requested = self._body.model if self._body is not None else None
        overridden = self._model is not None and self._model != requested
        billing = describe.billing(self._request, service.link.key)
        cost = self._cost(reading)
        counted = self._endpoint is Endpoint.MESSAGES and service.override_settings.track_statistics
        saved = None
        if counted and overridden and reading.usage and requested and billing == "metered":
            saved = service.pricing.cost_saved(reading.usage, requested, cost)
        first = self._first_at
        return AuditRecord(
            request_id=self._id,
            boot_id=service.boot_id,
            seq=self._seq,
            at_us=self._at_us,
            endpoint=self._endpoint,
            provider=service.link.name,
            model=self._model,
            requested_model=requested,
            status=status,
            success=error is None and 200 <= status < 300,
            partial=error is not None and self._responder.started,
            stream=stream or (self._body is not None and self._body.stream),
            overridden=overridden,
            counted=counted,
            latency_us=_us(time.perf_counter() - self._begun),
            ttft_us=None if first is None else _us(first - self._begun),
            usage=reading.usage,
            cost_pico=cost,
            saved_pico=saved,
            agent_type=self._sender.agent_type,
            agent_source=self._sender.agent_source,
            session_id=self._sender.session_id,
            client=self._sender.client,
            billing=billing,
            error_message=error,
            upstream_request_id=self._upstream_id(),
            shape=self._shape,
        )

    def _upstream_id(self) -> str | None:
        if self._answer is None:
            return None
        value = _value(self._answer.headers, b"request-id")
        return None if value is None else redact(value.decode("latin-1"))

    async def _committed(self, future: asyncio.Future[bool]) -> None:
        """Wait for the record, but not longer than a client should notice."""
        _, open_ = await asyncio.wait({future}, timeout=COMMIT_WAIT_S)
        self._service.ledger.late += len(open_)


def _value(headers: tuple[Header, ...], name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)


def _line(text: str) -> str:
    """Return a name for a log line, on one line whatever it holds."""
    return text if text.isprintable() else redact(text)


def _us(seconds: float) -> int:
    return max(0, round(seconds * 1_000_000))
