"""Add up what other rules would change: requests, costs, peaks, conversations. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist, variance

from msgspec.structs import replace

from gateway.cost.pricing import Pricing
from gateway.replay import Decision, Turn
from gateway.store.conversations import TTL_1H_US, TTL_5M_US
from gateway.store.recorded import Recorded
from gateway.wire.usage import Usage

CONFIDENCE = 0.95
MIN_UNITS = 10
"""With fewer sessions there is no interval for what they cost."""

_MINUTE_US = 60_000_000

Target = tuple[str, str]
"""Provider, and its name of a model."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a model is asked for in a minute; tokens read from a prompt cache are no load."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def plus(self, usage: Usage) -> Load:
        """Return it with one request more."""
        asked = self.input_tokens + usage.input_tokens + usage.cache_write_tokens
        return Load(self.requests + 1, asked, self.output_tokens + usage.output_tokens)

    def highest(self, other: Load) -> Load:
        """Return the higher one of each figure."""
        return Load(
            max(self.requests, other.requests),
            max(self.input_tokens, other.input_tokens),
            max(self.output_tokens, other.output_tokens),
        )


@dataclass(slots=True)
class _Peak:
    minute: int = -1
    running: Load = Load()
    highest: Load = Load()

    def add(self, minute: int, usage: Usage) -> None:
        running = self.running if minute == self.minute else Load()
        self.minute, self.running = minute, running.plus(usage)
        self.highest = self.highest.highest(self.running)


@dataclass(slots=True)
class Sums:
    """What a window of requests comes to.

    Attributes:
        undecided: Requests that were refused before they were routed.
        adapted: How often each change would be made.
        left: How often a matching rule would not be applied, by reason.
        broken: How often the provider could not be asked, by reason.
        rules: How often one model would take the place of another, by both.
        limits_unknown: Overridden requests to models of which it is not known what they accept.
        priced: Requests whose cost is known both ways; the others are in neither sum of costs.
        subscription: Requests that a subscription pays; they are in neither sum either.
        now_pico: What the priced requests cost, picodollars.
        then_pico: What they would have cost.
    """

    pricing: Pricing
    requests: int = 0
    undecided: int = 0
    matched: int = 0
    overridden: int = 0
    adapted: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    limits_unknown: int = 0
    priced: int = 0
    subscription: int = 0
    now_pico: int = 0
    then_pico: int = 0
    _changes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _peaks: dict[Target, _Peak] = field(default_factory=lambda: defaultdict(_Peak))

    def add(self, recorded: Recorded, decision: Decision | None) -> None:
        """Count a request."""
        if decision is None:
            self.undecided += 1
            return
        self.requests += 1
        self.matched += decision.matched
        self.adapted.update(decision.adapted)
        if decision.left is not None:
            self.left[decision.left] += 1
        if decision.broken is not None:
            self.broken[decision.broken] += 1
        if decision.overridden:
            self.overridden += 1
            self.rules[decision.requested, decision.chosen] += 1
            self.limits_unknown += not decision.limits_known
        if recorded.usage is not None:
            minute = recorded.at_us // _MINUTE_US
            usage = _under(recorded, recorded.usage, decision)
            self._peaks[decision.provider, decision.model].add(minute, usage)
            self._bill(recorded, usage, decision)

    @property
    def peaks(self) -> Mapping[Target, Load]:
        """The most that one minute would ask of each model."""
        return {target: peak.highest for target, peak in self._peaks.items()}

    def interval(self) -> tuple[int, int] | None:
        """Return where the change of cost lies for as much traffic again, picodollars.

        A 95 % interval of Student's t over sessions, which are taken as drawn one by one; a request
        without a session counts as one. None with fewer than `MIN_UNITS`.
        """
        changes = list(self._changes.values())
        count = len(changes)
        if count < MIN_UNITS:
            return None
        spread = student_t(0.5 + CONFIDENCE / 2, count - 1) * math.sqrt(count * variance(changes))
        total = self.then_pico - self.now_pico
        return round(total - spread), round(total + spread)

    def _bill(self, recorded: Recorded, usage: Usage, decision: Decision) -> None:
        if recorded.subscription:
            self.subscription += 1
            return
        now, then = recorded.cost_pico, self._then(recorded, usage, decision)
        if now is None or then is None:
            return
        self.priced += 1
        self.now_pico += now
        self.then_pico += then
        self._changes[recorded.session_id or recorded.request_id] += then - now

    def _then(self, recorded: Recorded, usage: Usage, decision: Decision) -> int | None:
        """Return what a request would have cost, picodollars; None when that cannot be told."""
        if decision.model == recorded.model:
            return recorded.cost_pico
        if not recorded.whole:
            return None
        then = self.pricing.cost(usage, decision.model)
        # A provider may call the model by a name of its own that nobody priced.
        return then if then is not None else self.pricing.cost(usage, decision.chosen)


def switching_cost(turns: Iterable[Turn], pricing: Pricing, now_us: int) -> tuple[int, int]:
    """Return how many live conversations would change their model, and what that costs at once.

    Picodollars: what is in the prompt cache of the model a conversation runs on is written for the
    new one instead of being read. Nothing where the cache has run out by now, where a subscription
    pays, or where a price is unknown.
    """
    switched = cost = 0
    for turn in turns:
        recorded = turn.recorded
        if turn.chosen == recorded.chosen or recorded.chosen is None:
            continue
        switched += 1
        if recorded.usage is None or recorded.subscription or not _cached(recorded, now_us):
            continue
        prefix = replace(recorded.usage, input_tokens=0, output_tokens=0)
        written = pricing.cost(_written_again(prefix, hour=recorded.hour), turn.chosen)
        read = pricing.cost(_read_again(prefix), recorded.chosen)
        if written is not None and read is not None:
            cost += written - read
    return switched, cost


def student_t(p: float, freedom: int) -> float:
    """Return a quantile of Student's t, to three digits from 9 degrees of freedom on.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf(p)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum(term / freedom**power for power, term in enumerate(terms))


def _under(recorded: Recorded, usage: Usage, decision: Decision) -> Usage:
    """Return the usage of a request as it would have been."""
    if decision.switched and decision.model != recorded.model:
        return _written_again(usage, hour=recorded.hour)
    return usage


def _cached(recorded: Recorded, now_us: int) -> bool:
    return now_us < recorded.at_us + (TTL_1H_US if recorded.hour else TTL_5M_US)


def _written_again(usage: Usage, *, hour: bool) -> Usage:
    """Return the usage of a turn that finds nothing in the prompt cache of a new model.

    Args:
        hour: Whether what it would have read lives for an hour, and so is written for one.
    """
    read = usage.cache_read_tokens
    if hour:
        written = usage.cache_write_1h_tokens + read
        return replace(usage, cache_write_1h_tokens=written, cache_read_tokens=0)
    written = usage.cache_write_5m_tokens + read
    return replace(usage, cache_write_5m_tokens=written, cache_read_tokens=0)


def _read_again(prefix: Usage) -> Usage:
    """Return the usage of a turn that finds all of a prefix in the cache."""
    return Usage(cache_read_tokens=prefix.prompt_tokens(), terms=prefix.terms)
