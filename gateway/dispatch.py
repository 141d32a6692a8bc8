"""Ask providers for one answer: retries, circuits, the fallback chain; all before the first byte.

A later candidate is asked only when an earlier one is in trouble: not reachable, silent, broken,
429, 5xx, or refusing the gateway's own key. When none is better, the first one's answer stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
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
        after: What kept the first choice from answering; None when nothing did.
    """

    candidate: Candidate
    answer: Answer
    translator: Translator | None
    after: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the provider served the request."""
        return 200 <= self.answer.status < 300

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
        usable = [one for one in candidates if one.link.refusal(call.vendor) is None]
        outcome = _Outcome()
        try:
            for choice in self._in_order(usable or candidates[:1]):
                found, candidate = await self._ask(call, choice), choice.candidate
                if outcome.offer(found, overridden=candidate.chosen != call.body.model):
                    break
                if choice.more:
                    log.warning(
                        "Provider in trouble: request_id=%s provider=%s model=%s cause=%s",
                        *(call.request_id, candidate.link.name, candidate.model, _cause(found)),
                    )
            return outcome.result()
        except BaseException:
            outcome.release()
            raise

    def _in_order(self, usable: Sequence[Candidate]) -> Iterator[_Choice]:
        """Yield whom to ask. Open circuits are passed over.

        When that would leave nobody, the first is asked all the same: a gateway with one provider
        is no better off for not asking it.
        """
        asked, last = False, len(usable) - 1
        for index, candidate in enumerate(usable):
            circuit = self.circuits.of(candidate.link.name, candidate.model)
            if circuit.allows(self.clock()):
                asked = True
                yield _Choice(candidate, circuit, index < last)
        if not asked:
            first = usable[0]
            yield _Choice(first, self.circuits.of(first.link.name, first.model), more=False)

    async def _ask(self, call: Call, choice: _Choice) -> Sent | RequestError | UpstreamError:
        """Ask one candidate, as often as it is worth it."""
        candidate = choice.candidate
        try:
            prepared = prepare(call, candidate, self.translators)
        except RequestError as error:
            return error
        name = candidate.link.name
        held: Sent | None = None
        attempt = 0
        try:
            while True:
                attempt += 1
                self.announce(call, f"Forwarding to provider: {name}")
                found = await self._once(prepared, choice.circuit)
                if isinstance(found, Sent):
                    if held is not None:
                        held.answer.release()
                    held = found
                wait_s = self._wait_s(found, choice, attempt)
                if wait_s is None:
                    return held or found
                log.info(
                    "Retry: request_id=%s provider=%s attempt=%d wait_s=%.3f cause=%s",
                    *(call.request_id, name, attempt + 1, wait_s, _cause(found)),
                )
                await asyncio.sleep(wait_s)
        except BaseException:
            if held is not None:
                held.answer.release()
            raise

    def announce(self, call: Call, *more: str) -> None:
        """Write to the log what was to be said about a request first, and these lines; once."""
        waiting = call.announcement
        if waiting or more:
            self.say((*waiting, *more))
            waiting.clear()

    async def _once(self, prepared: ProviderRequest, circuit: Circuit) -> Sent | UpstreamError:
        link = prepared.candidate.link
        try:
            timeout_s = link.settings.timeout_s
            answer = await link.origin.ask(prepared.head, prepared.body, head_timeout_s=timeout_s)
        except UpstreamError as error:
            circuit.failed(self.clock())
            return error
        if answer.status >= 500:
            circuit.failed(self.clock())
        else:
            circuit.succeeded()
        return Sent(prepared.candidate, answer, prepared.translator)

    def _wait_s(self, found: Sent | UpstreamError, choice: _Choice, attempt: int) -> float | None:
        """Return how long to wait before asking again; None not to."""
        if attempt > choice.candidate.retries or not _worth_retrying(found):
            return None
        asked_s = None
        if isinstance(found, Sent):
            asked_s = parse_retry_after(found.answer.header(b"retry-after"))
        wait_s = back_off_s(attempt, asked_s, self.jitter())
        if wait_s is None or (choice.more and wait_s > LONG_WAIT_S) or not self.budget.spend():
            return None
        return wait_s


class _Choice(msgspec.Struct, frozen=True):
    """Whom to ask, and whether others are left."""

    candidate: Candidate
    circuit: Circuit
    more: bool


@dataclass(slots=True)
class _Outcome:
    """The best of what the candidates said."""

    sent: Sent | None = None
    error: RequestError | UpstreamError | None = None
    cause: str | None = None

    def offer(self, found: Sent | RequestError | UpstreamError, *, overridden: bool) -> bool:
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


def _worth_retrying(found: Sent | UpstreamError) -> bool:
    if isinstance(found, UpstreamError):
        return found.fault is UpstreamFault.CONNECT
    answer = found.answer
    return _troubled(answer.status) and answer.header(b"x-should-retry") != b"false"


def _troubled(status: int) -> bool:
    return status == 429 or status >= 500


def _cause(found: Sent | RequestError | UpstreamError) -> str:
    if isinstance(found, Sent):
        return f"HTTP {found.answer.status}"
    if isinstance(found, UpstreamError):
        return found.fault.value
    return INEXPRESSIBLE if found.status == 400 else "unusable"
