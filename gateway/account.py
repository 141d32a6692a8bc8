"""What is known about one exchange while it lasts, and the one record it leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway import describe
from gateway.agents.identity import Agent
from gateway.body_log import AnswerLog
from gateway.candidates import Candidate
from gateway.cost.pricing import Pricing, usd_text
from gateway.dispatch import Sent
from gateway.overrides.shape import Shape, read_shape
from gateway.store.conversations import ConversationKey
from gateway.store.records import WIRES, AuditRecord, CacheOutcome, Endpoint
from gateway.wire.body import Body
from gateway.wire.formats import Wire
from gateway.wire.http import Header, Request
from gateway.wire.usage import Reading

LEFT = "the client left before the answer's end"
"""What went wrong with an answer that nobody waited for."""

_UNANSWERED: Mapping[bytes, bytes] = {}

# Bound once: Python 3.11 asks an enum's metaclass for a member each time that it is named.
_COUNT_TOKENS, _HIT = Endpoint.COUNT_TOKENS, CacheOutcome.HIT


@dataclass(frozen=True, slots=True)
class Books:
    """What every record of a worker has in common.

    Attributes:
        default_provider: Named where no provider was chosen.
        track_statistics: Whether overrides are counted.
        log_request_bodies: Whether records hold what was asked.
        log_response_bodies: Whether records hold what was answered.
        body_projects: The projects whose bodies are kept; empty for all.
    """

    pricing: Pricing
    boot_id: str
    default_provider: str
    track_statistics: bool
    log_request_bodies: bool = False
    log_response_bodies: bool = False
    body_projects: frozenset[str] = frozenset()


class Account(msgspec.Struct):
    """Collects what becomes the audit record.

    Attributes:
        id_header: What every answer carries.
        seq: Its number among those of this worker.
        taken: `time.perf_counter()` when it was taken.
        begun: The same when its first byte arrived.
        requested: The client's model; None before it is known.
        wire: The client's format.
        counting: Whether a token count is asked for: nothing is generated then.
        candidate: Who is being asked, and for what; the first choice until somebody answered.
        first_at: `time.perf_counter()` at the first byte for the client; None before it.
        chosen: The model the rules chose; None before they did.
        skipped: Why an override that matched is not applied, or was taken back; None when it is.
        user: The client's name, by its token.
        at_us: Time of arrival, microseconds since the epoch.
        cache: What the response cache had; None when it was not asked.
        answer_log: Where the answer is copied to; None when it is not to be kept.
        waited_s: How long others were waited for, before the first byte for the client.
    """

    endpoint: Endpoint
    request: Request
    id: str
    id_header: Header
    seq: int
    at_us: int
    taken: float
    begun: float
    wire: Wire
    counting: bool
    waited_s: float = 0.0
    sender: describe.Sender = describe.Sender()
    shape: Shape = Shape()
    cost_pico: int | None = None
    requested: str | None = None
    body: Body | None = None
    agent: Agent | None = None
    candidate: Candidate | None = None
    sent: Sent | None = None
    first_at: float | None = None
    cache: CacheOutcome | None = None
    answer_log: AnswerLog | None = None
    user: str | None = None
    chosen: str | None = None
    skipped: str | None = None

    def conversation(self) -> ConversationKey | None:
        """Return what keeps its model as long as it lives; None when the client names none."""
        sender = self.sender
        if sender.session_id is None or self.requested is None:
            return None
        return ConversationKey(sender.session_id, sender.agent_id or "", self.requested)

    def own_s(self) -> float:
        """Return the seconds since the request was taken that were not spent waiting."""
        return time.perf_counter() - self.taken - self.waited_s

    def is_logged(self, books: Books) -> bool:
        """Return whether its project is one whose bodies are kept, where any are."""
        return not books.body_projects or self.sender.project_id in books.body_projects

    def parse(self) -> Body:
        """Read head and body. Raises RequestError (400)."""
        sender = self.sender = describe.sender(self.request.head)
        self.body = body = Body(self.request.body)
        self.requested = body.model
        if body.project_id is not None:
            self.sender = sender.of_project(body.project_id)
        self.shape = read_shape(body, sender.betas)
        return body

    def annotations(self) -> bytes:
        """Return what is known once it is recorded, cost and latency included, as header lines."""
        told = b"" if self.candidate is None else self.candidate.told.lines
        latency_ms = (time.perf_counter() - self.begun) * 1000
        if self.cost_pico is None:
            return b"%bx-gateway-latency-ms: %d\r\n" % (told, latency_ms)
        lines = b"%bx-gateway-cost-usd: %b\r\nx-gateway-latency-ms: %d\r\n"
        return lines % (told, usd_text(self.cost_pico), latency_ms)

    def record(
        self,
        books: Books,
        status: int,
        reading: Reading,
        error: str | None,
        *,
        stream: bool,
        partial: bool,
    ) -> AuditRecord:
        """Return the record of this exchange, now that it is over.

        Args:
            error: What went wrong, without secrets; None for a complete answer.
            stream: Whether the answer was an event stream.
            partial: Whether the answer began and did not reach its end.
        """
        candidate, agent, sender = self.candidate, self.agent, self.sender
        usage, pricing = reading.usage, books.pricing
        cost = self.cost_pico = self._cost(reading, pricing)
        billing, requested, saved, rewrite = self._billing(), self.requested, None, (0, 0)
        # An alias is no override.
        overridden = candidate is not None and candidate.chosen != requested
        counted = not self.counting and books.track_statistics
        if counted and overridden and billing == "metered" and usage is not None and requested:
            saved = pricing.cost_saved(usage, requested, cost)
            if sender.session_id:  # only a conversation has a cache to write again
                rewrite = pricing.rewrite(usage, requested)
        since, first, logs = self.begun, self.first_at, books.log_request_bodies
        answered = _UNANSWERED if self.sent is None else self.sent.answer.first
        # In the order of the fields: more than 15 arguments by name cost a dict of them, each time.
        asked = (
            self.id,
            books.boot_id,
            self.seq,
            self.at_us,
            self.endpoint,
            books.default_provider if candidate is None else candidate.link.name,
            None if candidate is None else candidate.model,
            requested,
            status,
            error is None and 200 <= status < 300,
            partial,
            stream or (self.body is not None and self.body.stream),
            overridden,
            int((time.perf_counter() - since) * 1_000_000),
            None if first is None else int((first - since) * 1_000_000),
            cost,
            saved,
            None if agent is None else agent.type,
            None if agent is None else str(agent.source),
        )
        found = (
            sender.project_id,
            sender.session_id,
            sender.client,
            billing,
            error,
            describe.upstream_id(answered),
            self.user,
            None if candidate is None else candidate.reason,
            self.skipped,
            self.cache,
            sender.agent_id,
            self.chosen,
            usage,
            self.shape,
            () if candidate is None else candidate.adaptation.words,
            counted,
            rewrite,
            describe.rate_limits(answered),
            self.request.body if logs and self.is_logged(books) else None,
            None if self.answer_log is None else self.answer_log.text(),
        )
        return AuditRecord(*(asked + found))

    def _cost(self, reading: Reading, pricing: Pricing) -> int | None:
        """Return picodollars at the price of the model that answered; None when unknown."""
        if self.counting or self.cache is _HIT:
            return 0
        asked = None if self.candidate is None else self.candidate.model
        model = reading.model or asked
        if reading.usage is None or model is None:
            return None
        cost = pricing.cost(reading.usage, model)
        # A provider may call the model by a name of its own that nobody priced.
        return cost if cost is not None or asked is None else pricing.cost(reading.usage, asked)

    def _billing(self) -> str:
        if self.candidate is None:
            return describe.billing(self.request, None)
        link = self.candidate.link
        if link.key is None and link.forwards:
            return self.sender.billing
        # Whose key is neither configured nor forwarded pays nothing, and by no subscription.
        return describe.billing(self.request, link.key or "")


def open_account(
    endpoint: Endpoint, request: Request, request_id: str, seq: int, at_us: int
) -> Account:
    """Return the account of a request that has just been taken.

    A function, for a class method is bound anew at each call.
    """
    # The event loop's clock has steps of a millisecond; it says how long the upload took.
    upload_s = asyncio.get_running_loop().time() - request.received
    taken = time.perf_counter()
    return Account(
        endpoint,
        request,
        request_id,
        (b"x-gateway-request-id", request_id.encode()),
        seq,
        at_us,
        taken,
        taken - upload_s if upload_s > 0 else taken,
        WIRES[endpoint],
        endpoint is _COUNT_TOKENS,
    )
