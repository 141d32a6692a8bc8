"""Ask providers for one answer: retries, circuits, the fallback chain; all before the first byte.

A later candidate is asked only when an earlier one is in trouble: not reachable, silent, broken,
429, 5xx, or refusing the gateway's own key. When none is better, the first one's answer stands.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from gateway.breakers import Circuit, Circuits, RetryBudget, back_off_s, parse_retry_after
from gateway.candidates import Candidate
from gateway.errors import RequestError, UpstreamError, UpstreamFault
from gateway.log_lines import Say
from gateway.provider_request import Call, ProviderRequest, Translators, prepare
from gateway.upstream.origin import Answer
from gateway.wire.formats import Translator

log = logging.getLogger(__name__)

INEXPRESSIBLE = "inexpressible"
"""Why a provider was not asked: its wire format has no word for something in the request."""

LONG_WAIT_S = 5.0
"""Rather than wait longer than this, the next candidate is asked when there is one."""


class Sent(msgspec.Struct, frozen=True):
    """An answer whose head is in.

    Attributes:
        translator: Turns the answer into the client's format; None when it is.
        ok: Whether the provider served the request.
        after: What kept the first choice from answering; None when nothing did.
    """

    candidate: Candidate
    answer: Answer
    translator: Translator | None
    ok: bool
    after: str | None = None

    @property
    def in_trouble(self) -> bool:
        """Whether another candidate may do better."""
        status = self.answer.status
        return status >= 400 and (_troubled(status) or self.own_key_refused)

    @property
    def own_key_refused(self) -> bool:
        """Whether the provider refused the gateway's key, which is no fault of the client's."""
        return self.candidate.link.key is not None and self.answer.status in (401, 403)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Asks candidates in order.

    Args:
        clock: Steady, in seconds.
        jitter: Random numbers from 0 to 1.
        say: Writes the lines that each request leaves in the log.
    """

    clock: Callable[[], float]
    jitter: Callable[[], float]
    say: Say
    circuits: Circuits = field(default_factory=Circuits)
    budget: RetryBudget = field(default_factory=RetryBudget)
    translators: Translators = field(default_factory=dict)

    async def send(self, call: Call, candidates: tuple[Candidate, ...]) -> Sent:
        """Return the first good answer, else the first bad one; the caller must release it.

        Raises RequestError and UpstreamError when there was no answer at all.
        """
        self.budget.earn()
        try:
            turn = self._next(call, candidates) or self._anyway(call, candidates)
            found = await self._once(call, turn)
            if isinstance(found, Sent) and found.ok:
                return found
            return await self._best(call, turn, found)
        finally:
            if call.announcement:  # nobody was asked
                self.say(call.announcement)
                call.announcement.clear()

    async def _best(self, call: Call, turn: _Turn, found: _Found) -> Sent:
        """Return what is best, or raise, now that the first one did not serve the request."""
        outcome = _Outcome()
        try:
            found = await self._again(call, turn, found)
            while not outcome.offer(found, overridden=turn.candidate.chosen != call.body.model):
                if _others(call, turn):
                    name, model = turn.candidate.link.name, turn.candidate.model
                    log.warning(
                        "Provider in trouble: request_id=%s provider=%s model=%s cause=%s",
                        *(call.request_id, name, model, _cause(found)),
                    )
                following = self._next(call, turn.following)
                if following is None:
                    break
                turn = following
                found = await self._again(call, turn, await self._once(call, turn))
            return outcome.result()
        except BaseException:
            outcome.release()
            raise

    def _next(self, call: Call, candidates: tuple[Candidate, ...]) -> _Turn | None:
        """Return whose turn it is; None when nobody is left.

        Those that cannot be asked, and open circuits, are passed over.
        """
        for number, candidate in enumerate(candidates, 1):
            if candidate.link.refusal(call.vendor) is None:
                circuit = self.circuits.of(candidate.link.name, candidate.model)
                if not circuit.failures or circuit.allows(self.clock()):
                    return _Turn(candidate, circuit, candidates[number:])
        return None

    def _anyway(self, call: Call, candidates: tuple[Candidate, ...]) -> _Turn:
        """Return the turn of the first, now that all are passed over.

        A gateway with one provider is no better off for not asking it.
        """
        able = (one for one in candidates if one.link.refusal(call.vendor) is None)
        first = next(able, candidates[0])
        return _Turn(first, self.circuits.of(first.link.name, first.model), ())

    async def _again(self, call: Call, turn: _Turn, found: _Found) -> _Found:
        """Ask the same candidate again, as often as it is worth it; an answer stands over none."""
        held = found if isinstance(found, Sent) else None
        attempt = 1
        try:
            while (wait_s := self._wait_s(call, turn, found, attempt)) is not None:
                attempt += 1
                log.info(
                    "Retry: request_id=%s provider=%s attempt=%d wait_s=%.3f cause=%s",
                    *(call.request_id, turn.candidate.link.name, attempt, wait_s, _cause(found)),
                )
                await asyncio.sleep(wait_s)
                found = await self._once(call, turn)
                if isinstance(found, Sent):
                    if held is not None:
                        held.answer.release()
                    held = found
        except BaseException:
            if held is not None:
                held.answer.release()
            raise
        return held or found

    async def _once(self, call: Call, turn: _Turn) -> _Found:
        """Ask one candidate once."""
        candidate, circuit, lines = turn.candidate, turn.circuit, call.announcement
        link = candidate.link
        try:
            request = turn.request = turn.request or prepare(call, candidate, self.translators)
            lines.append(candidate.told.asked)
            self.say(lines)
            lines.clear()
            timeout_s = link.settings.timeout_s
            answer = await link.origin.ask(request.head, request.body, head_timeout_s=timeout_s)
        except RequestError as error:
            return error
        except UpstreamError as error:
            circuit.failed(self.clock())
            return error
        status = answer.status
        if status >= 500:
            circuit.failed(self.clock())
        elif circuit.failures:
            circuit.succeeded()
        return Sent(request.candidate, answer, request.translator, 200 <= status < 300)

    def _wait_s(self, call: Call, turn: _Turn, found: _Found, attempt: int) -> float | None:
        """Return how long to wait before asking again; None not to."""
        if attempt > turn.candidate.retries or not _worth_retrying(found):
            return None
        asked_s = None
        if isinstance(found, Sent):
            said, date = map(found.answer.header, (b"retry-after", b"date"))
            asked_s = parse_retry_after(said, date, time.time())
        wait_s = back_off_s(attempt, asked_s, self.jitter())
        if wait_s is None or (wait_s > LONG_WAIT_S and _others(call, turn)):
            return None
        if not self.budget.spend():
            return None
        return wait_s


class _Turn(msgspec.Struct):
    """Whom to ask, and who comes after it.

    Attributes:
        request: What it is sent; None before that is known.
    """

    candidate: Candidate
    circuit: Circuit
    following: tuple[Candidate, ...]
    request: ProviderRequest | None = None


_Found = Sent | RequestError | UpstreamError
"""What came of asking one candidate."""


@dataclass(slots=True)
class _Outcome:
    """The best of what the candidates said."""

    sent: Sent | None = None
    error: RequestError | UpstreamError | None = None
    cause: str | None = None

    def offer(self, found: _Found, *, overridden: bool) -> bool:
        """Keep the better one; return whether there is no reason to go on."""
        if self.cause is None and not (isinstance(found, Sent) and not found.in_trouble):
            self.cause = _cause(found)
        if isinstance(found, Sent):
            good = not found.in_trouble
            if self.sent is None or good:
                self.release()
                self.sent = found
            else:
                found.answer.release()
            return good
        refused = isinstance(found, RequestError) and found.status == 400
        first = self.sent is None and self.error is None
        self.error = self.error or found
        # The client's request is at fault, not the provider; unless an override chose for it.
        return refused and first and not overridden

    def result(self) -> Sent:
        """Return the answer kept. Raises the first error when there is none."""
        if self.sent is not None:
            return self.sent if self.cause is None else replace(self.sent, after=self.cause)
        raise self.error or RequestError(503, "api_error", "no provider can be asked")

    def release(self) -> None:
        """Give up the answer kept."""
        if self.sent is not None:
            self.sent.answer.release()
            self.sent = None


def _others(call: Call, turn: _Turn) -> bool:
    """Return whether somebody else can be asked."""
    return any(one.link.refusal(call.vendor) is None for one in turn.following)


def _worth_retrying(found: _Found) -> bool:
    if isinstance(found, Sent):
        answer = found.answer
        return _troubled(answer.status) and answer.header(b"x-should-retry") != b"false"
    return isinstance(found, UpstreamError) and found.fault is UpstreamFault.CONNECT


def _troubled(status: int) -> bool:
    return status == 429 or status >= 500


def _cause(found: _Found) -> str:
    if isinstance(found, Sent):
        return f"HTTP {found.answer.status}"
    if isinstance(found, UpstreamError):
        return found.fault.value
    return INEXPRESSIBLE if found.status == 400 else "unusable"
