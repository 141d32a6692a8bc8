"""One request's life: parse, choose, ask, relay, and exactly one audit record.

Whatever happens (the client leaves, the provider refuses, stalls or breaks off), the record is
written once, and an answer that is not whole never looks whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable

import msgspec

from gateway.access.limits import Admission
from gateway.account import LEFT, Account
from gateway.agents.identity import Agent
from gateway.annotated import Annotated
from gateway.body_log import AnswerLog
from gateway.cache.answers import Lookup, asked, replay_headers
from gateway.cache.response_cache import Kept
from gateway.candidates import Asked, Candidate
from gateway.cost import estimate
from gateway.delivery import Delivery
from gateway.dispatch import INEXPRESSIBLE, Sent
from gateway.errors import RequestError, UpstreamError
from gateway.links import key_vendor
from gateway.log_lines import encoded
from gateway.provider_request import Call
from gateway.redact import redact
from gateway.service import Service
from gateway.store.records import CacheOutcome
from gateway.told import line
from gateway.wire.answers import refuse, to_json
from gateway.wire.body import Body
from gateway.wire.formats import Wire
from gateway.wire.http import Responder
from gateway.wire.usage import Reading, Usage

log = logging.getLogger(__name__)

CLIENT_LEFT = 499
_UNREAD = Reading()
_FAILED = RequestError(500, "api_error", "the gateway failed on this request")
_MESSAGES = Wire.MESSAGES  # bound once, see `account`


class Exchange(msgspec.Struct):
    """One recorded request and its answer.

    A token count is forwarded like a message and overridden like one, because its answer must fit
    the model that will be used. It is recorded with cost 0 and left out of override statistics.

    Attributes:
        recorded: Says whether its record was committed; None before there is one.
        admission: What lets it in, and is told of its end; None before, and without limits.
        failed: Whether its record says that something went wrong.
    """

    service: Service
    account: Account
    responder: Responder
    recorded: asyncio.Future[bool] | None = None
    admission: Admission | None = None
    failed: bool = False

    async def run(self, target: bytes) -> None:
        """Serve the request.

        Args:
            target: Path and query for the provider.
        """
        account, agents = self.account, self.service.sub_agents
        try:
            body = self._enter()
            told = account.sender.claims
            agent = agents.at_once(told, body) or await agents.identify(told, body)
            asked = self._asked(agent)
            bound = await self._bound(asked) if self.service.policy.binds else None
            await self._answering(body, target, self._choose(asked, bound))
        except RequestError as error:
            await self.refuse(error)
        except UpstreamError as error:
            await self._upstream_failed(error)
        except asyncio.CancelledError:
            sent = account.sent if self.responder.started else None
            status = sent.answer.status if sent is not None else CLIENT_LEFT
            self._record(status, error=LEFT)
            raise
        except Exception as error:
            self._record(500, error=f"internal error: {type(error).__name__}")
            if not self.responder.started:  # else it is cut off
                refuse(self.responder, _FAILED, account.id, account.wire)
            raise
        finally:
            if account.sent is not None:
                account.sent.answer.release()
            if self.admission is not None:
                self.admission.release()

    def _enter(self) -> Body:
        """Let the request in, and read it. Raises RequestError."""
        service, account = self.service, self.account
        user = account.user = service.clients.sender(account.request.head)
        if service.limiter.limits_some:
            self.admission = service.limiter.admit(user, aside=account.counting)
        return account.parse()

    def _asked(self, agent: Agent) -> Asked:
        """Return what decides about the request."""
        account = self.account
        sender = account.sender
        account.agent = agent
        # Whether a subscriber's token pays, where that makes a difference.
        pays = account.user is None and not self.service.policy.subscription_fallback
        return Asked(  # in the order of the fields: each name would be searched for among them
            agent,
            account.requested or "",
            account.shape,
            sender.session_id or account.id,
            sender.project_id,
            pays and sender.billing == "subscription",
            account.wire,
        )

    async def _bound(self, asked: Asked) -> str | None:
        """Return the model that the conversation runs on; None when it is new, or no matter."""
        conversation = self.account.conversation()
        if conversation is None or not self.service.policy.asks_for_binding(asked):
            return None
        return await self.service.sessions.model(conversation)

    def _choose(self, asked: Asked, bound: str | None) -> tuple[Candidate, ...]:
        """Return whom to ask; the conversation is known to all workers from here on."""
        service, account = self.service, self.account
        choice = service.policy.choose(asked, bound)
        first = account.candidate = choice.candidates[0]
        chosen = account.chosen = first.chosen
        account.skipped = choice.left
        conversation = account.conversation()
        if conversation is not None and not account.counting:
            service.sessions.begun(conversation, chosen, account.at_us)
        return choice.candidates

    def _answering(
        self, body: Body, target: bytes, candidates: tuple[Candidate, ...]
    ) -> Awaitable[None]:
        """Return what answers the request, and says in the log who is to be asked."""
        account, service, first = self.account, self.service, candidates[0]
        wire, request, known = account.wire, account.request, account.user is not None
        vendor = key_vendor(request.head.headers, wire, authenticated=known)
        announcement = self._announcement(first)
        call = Call(account.id, wire, request, body, target, vendor, announcement)
        if account.counting:
            return self._count(call, candidates)
        if service.plain:
            return self._ask(call, candidates)
        if service.annotates:
            self.responder = Annotated(self.responder, account)
        if service.cache.enabled:
            return self._cached(call, candidates)
        return self._ask(call, candidates)

    def _count(self, call: Call, candidates: tuple[Candidate, ...]) -> Awaitable[None]:
        """Return what answers a token count: who speaks the format, else an estimate."""
        first = candidates[0]
        asked = tuple([one for one in candidates if one.link.wire is _MESSAGES])
        others = len(asked) < len(candidates)
        refused = others and all(one.link.refusal(call.vendor) for one in asked)
        if first.link.wire is not _MESSAGES or refused:
            return self._estimate(call, first)
        return self._ask(call, asked)

    async def _ask(self, call: Call, candidates: tuple[Candidate, ...]) -> None:
        """Bring a provider's answer to the client."""
        service, account = self.service, self.account
        if service.books.log_response_bodies and account.is_logged(service.books):
            account.answer_log = AnswerLog()
        since = time.perf_counter()
        sent = account.sent = await service.dispatcher.send(call, candidates)
        account.waited_s += time.perf_counter() - since
        if sent.answer.resent:
            log.info("Request sent again on a new connection: request_id=%s", account.id)
        if sent.candidate is not candidates[0]:
            self._fell_back(candidates[0], sent)
        await Delivery(
            account,
            self.responder,
            self._record,
            service.ledger,
            service.metrics,
            service.sub_agents,
        ).deliver(sent)

    async def _cached(self, call: Call, candidates: tuple[Candidate, ...]) -> None:
        """Answer from the response cache, else keep what the first choice answers, if it may be."""
        service, first = self.service, candidates[0]
        try:
            lookup = await self._look_up(first, call.target)
            if lookup is None:
                await self._ask(call, candidates)
            elif lookup.kept is not None:
                await self._replay(lookup.kept)
            else:
                copy = self.responder = service.cache.copy(self.responder)
                await self._ask(call, candidates)
                sent = self.account.sent
                good = sent is not None and sent.candidate is first and sent.answer.status == 200
                if good and not self.failed:
                    service.cache.keep(lookup, copy)
        finally:
            if call.announcement:  # nobody was asked
                service.dispatcher.say(call.announcement)

    async def _look_up(self, first: Candidate, target: bytes) -> Lookup | None:
        """Return what the response cache has; None when the answer is not to be kept."""
        account = self.account
        known = account.user is not None
        wanted = asked(account.request, first.link, first.model, target, authenticated=known)
        lookup = await self.service.cache.look_up(account.request.body, wanted)
        if lookup is not None:
            account.cache = CacheOutcome.MISS if lookup.kept is None else CacheOutcome.HIT
        return lookup

    async def _replay(self, kept: Kept) -> None:
        """Answer from the response cache."""
        account, service = self.account, self.service
        account.first_at = time.perf_counter()
        nothing = Reading(Usage())
        await service.ledger.in_time(self._record(200, nothing, stream=kept.stream))
        headers = (*replay_headers(kept), account.id_header)
        self.responder.start(200, headers, kept.body, account.annotations())
        self.responder.end()

    def _announcement(self, first: Candidate) -> list[bytes]:
        """Count the override, if any; return the log's lines about it and about the route."""
        service, account = self.service, self.account
        told, lines = first.told, [first.told.route]
        if account.skipped is not None:
            reason = account.skipped
            text = f"Model override left out: reason={reason} request_id={account.id}"
            lines.append(encoded(text))
        if first.adaptation.changes:
            words = line(",".join(first.adaptation.words))
            text = f"Request adapted: changes={words} request_id={account.id}"
            lines.append(encoded(text))
        if told.override and not account.counting:
            counts = service.counts
            counts.overrides += 1
            if service.log_overrides:
                lines += (told.override, b"Override count: %d" % counts.overrides)
        return lines

    def _fell_back(self, first: Candidate, sent: Sent) -> None:
        """Note that another than the first choice answered."""
        account = self.account
        account.candidate = sent.candidate
        if sent.candidate.chosen != first.chosen:
            account.skipped = INEXPRESSIBLE if sent.after == INEXPRESSIBLE else "target_down"
            names = (line(first.chosen), line(sent.candidate.chosen))
            log.warning("Model override reverted: %s → %s request_id=%s", *names, account.id)

    async def _estimate(self, call: Call, first: Candidate) -> None:
        """Answer a token count that no provider can be asked for."""
        account = self.account
        self.service.dispatcher.say(call.announcement)
        data = to_json({"input_tokens": estimate.input_tokens(call.body)})
        await self.service.ledger.in_time(self._record(200))
        self.responder.start(
            200,
            (
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(data)),
                account.id_header,
                (b"x-gateway-estimate", b"true"),
            ),
            data,
            first.told.lines,
        )
        self.responder.end()

    # -- refusals

    async def refuse(self, refusal: RequestError) -> None:
        """Answer with an error of the gateway's own; in place of `run`, or at its end."""
        message = redact(str(refusal))
        if self.responder.started:
            self._record(refusal.status, error=message)
            self.responder.abort()
            return
        await self.service.ledger.in_time(self._record(refusal.status, error=message))
        told = RequestError(refusal.status, refusal.kind, message, headers=refusal.headers)
        refuse(self.responder, told, self.account.id, self.account.wire)

    async def _upstream_failed(self, error: UpstreamError) -> None:
        account = self.account
        if self.responder.started:
            text = redact(f"the provider's answer broke off ({error.fault}): {error}")
            self._record(account.sent.answer.status if account.sent else 502, error=text)
            self.responder.abort()
            return
        name = account.candidate.link.name if account.candidate else "unknown"
        await self.refuse(error.refusal(name))

    # -- the record

    def _record(
        self,
        status: int,
        reading: Reading | None = None,
        *,
        error: str | None = None,
        stream: bool = False,
    ) -> asyncio.Future[bool]:
        """Queue the record of this exchange; later calls change nothing."""
        if self.recorded is None:
            partial = error is not None and self.responder.started
            books, reading = self.service.books, reading or _UNREAD
            entry = self.account.record(
                books, status, reading, error, stream=stream, partial=partial
            )
            if self.admission is not None and entry.usage is not None:
                self.admission.charge(entry.usage)
            self.recorded = self.service.ledger.record(entry)
            if error is not None:
                self.failed = True
        return self.recorded
