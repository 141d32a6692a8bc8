"""Answer what other override rules would have done with the recorded traffic; changes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from gateway.candidates import open_policy
from gateway.cost.pricing import usd
from gateway.operator import question
from gateway.operator.answers import Answer, Parts
from gateway.operator.query import micros
from gateway.operator.question import MAX_DECISIONS, Question
from gateway.replay import Decision, Replay
from gateway.store import recorded
from gateway.store.entries import rfc3339
from gateway.store.recorded import Limits, Recorded, Window
from gateway.what_if import CONFIDENCE, Load, Sums, Target, switching_cost
from gateway.wire.answers import to_json
from gateway.wire.http import Request

PAGE_ROWS = 500
"""So many records are decided between two looks of others into the ledger."""


async def what_if(parts: Parts, request: Request) -> Answer:
    """Decide recorded requests again and say what would differ. Raises RequestError (400)."""
    asked = question.read(request.body)
    now_us = time.time_ns() // 1000
    window = _window(asked, now_us)
    ledger, after = parts.ledger, (0, 0)
    start_us = await ledger.read(partial(recorded.latest_start, window=window, limit=asked.limit))
    window = replace(window, start_us=start_us)
    policy = open_policy(question.tried(parts.settings, asked), parts.links, parts.capabilities)
    trial = _Trial(Replay(policy, start_us), Sums(parts.pricing), asked.decisions)
    while True:
        rows = await ledger.read(
            partial(recorded.page, window=window, after=after, limit=PAGE_ROWS)
        )
        if not rows:
            break
        for row in rows:
            trial.add(row)
        after = rows[-1].place
    limits = await ledger.read(recorded.rate_limits)
    return Answer(200, to_json(trial.document(limits, now_us)))


@dataclass(slots=True)
class _Trial:
    """One pass over the recorded requests."""

    replay: Replay
    sums: Sums
    detailed: bool
    first_us: int | None = None
    last_us: int | None = None
    decisions: list[Mapping[str, object]] = field(default_factory=list)

    def add(self, row: Recorded) -> None:
        decision = self.replay.decide(row)
        self.sums.add(row, decision)
        self.first_us = row.at_us if self.first_us is None else self.first_us
        self.last_us = row.at_us
        if self.detailed and decision is not None and len(self.decisions) < MAX_DECISIONS:
            self.decisions.append(_decision(row, decision))

    def document(self, limits: Limits, now_us: int) -> Mapping[str, object]:
        sums, turns = self.sums, tuple(self.replay.live(now_us))
        switched, cost = switching_cost(turns, sums.pricing, now_us)
        found: dict[str, object] = {
            "window": {
                "start_time": _time(self.first_us),
                "end_time": _time(self.last_us),
                "requests": sums.requests,
                "undecided": sums.undecided,
            },
            "matched": sums.matched,
            "overridden": sums.overridden,
            "adapted": dict(sums.adapted),
            "skipped": dict(sums.left),
            "broken": dict(sums.broken),
            "limits_unknown": sums.limits_unknown,
            "rules": [
                {"from": source, "to": target, "requests": count}
                for (source, target), count in sums.rules.most_common()
            ],
            "live_sessions": {
                "conversations": len(turns),
                "switched": switched,
                "switching_cost_usd": usd(cost),
            },
            "peak_minutes": [_peak(*item, limits) for item in sorted(sums.peaks.items())],
            "cost": _cost(sums),
        }
        return {**found, "decisions": self.decisions} if self.detailed else found


def _window(asked: Question, now_us: int) -> Window:
    start, end = asked.start_time, asked.end_time
    return Window(
        0 if start is None else micros(start, "start_time"),
        now_us if end is None else micros(end, "end_time"),
    )


def _decision(row: Recorded, decision: Decision) -> Mapping[str, object]:
    return {
        "request_id": row.request_id,
        "requested": decision.requested,
        "chosen": decision.chosen,
        "provider": decision.provider,
        "model": decision.model,
        "adapted": decision.adapted,
        "skipped": decision.left,
        "broken": decision.broken,
    }


def _peak(target: Target, load: Load, limits: Limits) -> Mapping[str, object]:
    provider, model = target
    return {"provider": provider, "model": model, **asdict(load), "limits": limits.get(target)}


def _cost(sums: Sums) -> Mapping[str, object]:
    interval = sums.interval()
    return {
        "now_usd": usd(sums.now_pico),
        "then_usd": usd(sums.then_pico),
        "change_usd": usd(sums.then_pico - sums.now_pico),
        "interval_usd": None if interval is None else [usd(end) for end in interval],
        "confidence": CONFIDENCE,
        "priced": sums.priced,
        "subscription": sums.subscription,
    }


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)
