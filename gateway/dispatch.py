"""Ask providers for one answer: retries, circuits, the fallback chain; all before the first byte.

A later candidate is asked only when an earlier one is in trouble: not reachable, silent, broken,
429, 5xx, or refusing the gateway's own key. When none is better, the first one's answer stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from gateway.adaptation import Adaptation
from gateway.breakers import Circuit, Circuits, RetryBudget, back_off_s, parse_retry_after
from gateway.errors import RequestError, UpstreamError, UpstreamFault
from gateway.links import Link
from gateway.translate import usage_chunk
from gateway.upstream import Answer
from gateway.wire.body import Body
from gateway.wire.formats import Translator, Wire
from gateway.wire.http import Header, Request

log = logging.getLogger(__name__)

INEXPRESSIBLE = "inexpressible"
"""Why a provider was not asked: its wire format has no word for something in the request."""

UNCHANGED = Adaptation()

_RETRY: tuple[Header, ...] = ((b"retry-after", b"5"),)

LONG_WAIT_S = 5.0
"""Rather than wait longer than this, the next candidate is asked when there is one."""


class Call(msgspec.Struct, frozen=True):
    """A client's request as every provider would get it.

    Attributes:
        wire: The client's format.
        target: Path and query in the client's API.
        vendor: Whose key the client shows; None when it shows a token of the gateway's.
    """

    request_id: str
    wire: Wire
    request: Request
    body: Body
    target: bytes
    vendor: str | None


class Candidate(msgspec.Struct, frozen=True):
    """One provider that may be asked, and for what.

    Attributes:
        model: Its own name of the model.
        chosen: The model before the provider's alias.
        reason: Why this provider.
        retries: Attempts after the first.
        adaptation: What is changed in the request so that the model accepts it.
    """

    link: Link
    model: str
    chosen: str
    reason: str
    retries: int
    adaptation: Adaptation = UNCHANGED


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
    def in_trouble(self) -> bool:
        """Whether another candidate may do better."""
        return _troubled(self.answer.status) or self.own_key_refused

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
    """

    clock: Callable[[], float]
    jitter: Callable[[], float]
    circuits: Circuits = field(default_factory=Circuits)
    budget: RetryBudget = field(default_factory=RetryBudget)
    translators: Mapping[tuple[Wire, Wire], Translator] = field(default_factory=dict)

    async def send(self, call: Call, candidates: tuple[Candidate, ...]) -> Sent:
        """Return the first good answer, else the first bad one; the caller must release it.

        Raises RequestError and UpstreamError when there was no answer at all.
        """
        self.budget.earn()
        outcome = _Outcome()
        try:
            for candidate, more in self._order(call, candidates):
                found = await self._ask(call, candidate, more=more)
                overridden = candidate.chosen != call.body.model
                if outcome.offer(found, overridden=overridden):
                    break
                if more:
                    log.warning(
                        "Provider in trouble: request_id=%s provider=%s model=%s cause=%s",
                        *(call.request_id, candidate.link.name, candidate.model, _cause(found)),
                    )
            return outcome.result()
        except BaseException:
            outcome.release()
            raise

    def _order(
        self, call: Call, candidates: tuple[Candidate, ...]
    ) -> Iterator[tuple[Candidate, bool]]:
        """Yield whom to ask, and whether others are left. Open circuits are passed over.

        When that would leave nobody, the first is asked all the same: a gateway with one provider
        is no better off for not asking it.
        """
        usable = [one for one in candidates if one.link.refusal(call.vendor) is None]
        asked = False
        for index, candidate in enumerate(usable):
            if self._circuit(candidate).allows(self.clock()):
                asked = True
                yield candidate, index + 1 < len(usable)
        if not asked:
            yield (usable or candidates)[0], False

    async def _ask(
        self, call: Call, candidate: Candidate, *, more: bool
    ) -> Sent | RequestError | UpstreamError:
        """Ask one candidate, as often as it is worth it."""
        try:
            prepared = _prepare(call, candidate, self.translators)
        except RequestError as error:
            return error
        held: Sent | None = None
        attempt = 0
        try:
            while True:
                attempt += 1
                found = await self._once(prepared)
                if isinstance(found, Sent):
                    if held is not None:
                        held.answer.release()
                    held = found
                wait_s = self._wait_s(found, candidate, attempt, more=more)
                if wait_s is None:
                    break
                log.info(
                    "Retry: request_id=%s provider=%s attempt=%d wait_s=%.3f cause=%s",
                    *(call.request_id, candidate.link.name, attempt + 1, wait_s, _cause(found)),
                )
                await asyncio.sleep(wait_s)
        except BaseException:
            if held is not None:
                held.answer.release()
            raise
        return held or found

    async def _once(self, prepared: _Prepared) -> Sent | UpstreamError:
        link, circuit = prepared.candidate.link, self._circuit(prepared.candidate)
        log.info("Forwarding to provider: %s", link.name)
        try:
            answer = await link.origin.send(
                b"POST",
                prepared.target,
                prepared.headers,
                prepared.body,
                head_timeout_s=link.settings.timeout_s,
            )
        except UpstreamError as error:
            circuit.failed(self.clock())
            return error
        if answer.status >= 500:
            circuit.failed(self.clock())
        else:
            circuit.succeeded()
        return Sent(prepared.candidate, answer, prepared.translator)

    def _wait_s(
        self, found: Sent | UpstreamError, candidate: Candidate, attempt: int, *, more: bool
    ) -> float | None:
        """Return how long to wait before asking again; None not to."""
        if attempt > candidate.retries or not _worth_retrying(found):
            return None
        asked_s = None
        if isinstance(found, Sent):
            asked_s = parse_retry_after(found.answer.header(b"retry-after"))
        wait_s = back_off_s(attempt, asked_s, self.jitter())
        if wait_s is None or (more and wait_s > LONG_WAIT_S) or not self.budget.spend():
            return None
        return wait_s

    def _circuit(self, candidate: Candidate) -> Circuit:
        return self.circuits.of(candidate.link.name, candidate.model)


class _Prepared(msgspec.Struct, frozen=True):
    candidate: Candidate
    target: bytes
    headers: tuple[Header, ...]
    body: bytes
    translator: Translator | None


def _prepare(
    call: Call, candidate: Candidate, translators: Mapping[tuple[Wire, Wire], Translator]
) -> _Prepared:
    """Return what to send. Raises RequestError."""
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
        text = "there is no room for the request as its provider needs it"
        raise RequestError(503, "overloaded_error", text, headers=_RETRY)
    target = link.dialect.target(link.settings, path, query, candidate.model)
    sent = link.headers(headers, call.wire, call.vendor)
    return _Prepared(candidate, target, sent, body, translator)


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
    told = found.answer.header(b"x-should-retry")
    return _troubled(found.answer.status) and told != b"false"


def _troubled(status: int) -> bool:
    return status == 429 or status >= 500


def _cause(found: Sent | RequestError | UpstreamError) -> str:
    if isinstance(found, Sent):
        return f"HTTP {found.answer.status}"
    if isinstance(found, UpstreamError):
        return found.fault.value
    return INEXPRESSIBLE if found.status == 400 else "unusable"
