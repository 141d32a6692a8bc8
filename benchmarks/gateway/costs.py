"""Count the instructions of requests and of streamed events; starts what it measures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvloop

from benchmarks.gateway.bodies import Pace, plain_request
from benchmarks.gateway.clients import ask_many, request_bytes
from benchmarks.gateway.counters import instructions
from benchmarks.gateway.figures import Row
from benchmarks.gateway.loads import Bench, take_whole
from benchmarks.gateway.process_tree import pids_of
from benchmarks.gateway.proof import prove
from benchmarks.gateway.subjects import GatewayPlan, Provider, Subject, gateway, nginx_proxy

CONNECTIONS = 16
REQUESTS, WARM_REQUESTS = 1440, 320  # a multiple of the connections
MANY_RULES = 10_000
STREAMS = 10
LONG, SHORT = Pace(deltas=100, every_ms=40), Pace(deltas=20, every_ms=40)


def plain(bench: Bench) -> Iterator[Row]:
    """Count the instructions of plain JSON requests, by size and by number of override rules."""
    with nginx_proxy(bench.canned, bench.counter.command) as subject:
        nginx = {size_kb: _plain_cost(bench, subject, size_kb) for size_kb in (1, 60)}
    with gateway(GatewayPlan(bench.canned), bench.counter.command) as subject:
        ours = {size_kb: _plain_cost(bench, subject, size_kb) for size_kb in (1, 60)}
        prove(subject.address, REQUESTS * bench.rounds * len(ours))
    plan = GatewayPlan(bench.canned, rules=MANY_RULES)
    with gateway(plan, bench.counter.command) as subject:
        ruled = _plain_cost(bench, subject, 1)
        prove(subject.address, REQUESTS * bench.rounds)
    yield Row("json_1k", ours[1], nginx[1])
    yield Row("json_60k", ours[60], nginx[60])
    yield Row("json_rules", ruled)
    yield Row("json_rules_ratio", ruled / ours[1])


def streamed(bench: Bench) -> Iterator[Row]:
    """Count the instructions of streamed events, passed through and translated."""
    with nginx_proxy(bench.paced, bench.counter.command) as subject:
        nginx = _stream_cost(bench, subject)
    costs = {}
    for provider in Provider:
        with gateway(GatewayPlan(bench.paced, provider), bench.counter.command) as subject:
            costs[provider] = _stream_cost(bench, subject)
    passed, translated = costs[Provider.ANTHROPIC], costs[Provider.OPENAI]
    yield Row("stream_event", passed.whole, nginx.whole)
    yield Row("stream_event_alone", passed.alone, nginx.alone)
    yield Row("translated_event", translated.whole)
    yield Row("translated_event_alone", translated.alone)


@dataclass(frozen=True, slots=True)
class _EventCost:
    """Thousand instructions an event: with its share of the request, and without."""

    whole: float
    alone: float


def _plain_cost(bench: Bench, subject: Subject, size_kb: int) -> float:
    """Return million instructions a request."""
    request = request_bytes(subject.address, plain_request(size_kb))

    def load(requests: int) -> None:
        uvloop.run(ask_many(subject.address, request, requests, CONNECTIONS))

    load(WARM_REQUESTS)
    return _counted(bench, subject, lambda: load(REQUESTS)) / REQUESTS / 1e6


def _stream_cost(bench: Bench, subject: Subject) -> _EventCost:
    """Return thousand instructions an event, by streams of two lengths."""

    def cost(pace: Pace) -> float:
        def load() -> None:
            take_whole(subject.address, pace, STREAMS)

        return _counted(bench, subject, load) / STREAMS / 1e3

    take_whole(subject.address, SHORT, STREAMS)  # for warming up
    long, short = cost(LONG), cost(SHORT)
    return _EventCost(long / LONG.deltas, (long - short) / (LONG.deltas - SHORT.deltas))


def _counted(bench: Bench, subject: Subject, load: Callable[[], None]) -> float:
    """Return the median of the instructions that a load costs the subject."""
    pids = pids_of(subject.pid)
    return statistics.median(instructions(bench.counter, pids, load) for _ in range(bench.rounds))
