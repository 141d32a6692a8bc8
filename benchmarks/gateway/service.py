"""Measure how well streams pass, how soon they begin, and what memory all takes; starts servers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.gateway import wrk
from benchmarks.gateway.bodies import Pace, paced_request, plain_request
from benchmarks.gateway.clients import first_byte_ms, request_bytes
from benchmarks.gateway.figures import Row
from benchmarks.gateway.loads import Bench, take, take_whole
from benchmarks.gateway.process_tree import MemoryWatch, memory_mb
from benchmarks.gateway.proof import prove
from benchmarks.gateway.streams import StreamReport
from benchmarks.gateway.subjects import GatewayPlan, Provider, Subject, gateway, nginx_proxy

PACED_STREAMS, PACED = 200, Pace(deltas=50, every_ms=100)
HELD_STREAMS, HELD = 500, Pace(deltas=20, every_ms=500)
FIRST_BYTES, ONE_DELTA = 40, Pace(deltas=1, every_ms=0)
BUSY_CONNECTIONS, BUSY_S = 500, 10


def paced(bench: Bench) -> Iterator[Row]:
    """Take 200 streams at once, and look at every delta."""
    direct = take(bench.paced, PACED, PACED_STREAMS)
    with nginx_proxy(bench.paced) as subject:
        nginx = take(subject.address, PACED, PACED_STREAMS)
    taken = {}
    for provider in Provider:
        with gateway(GatewayPlan(bench.paced, provider)) as subject:
            taken[provider] = take(subject.address, PACED, PACED_STREAMS)
    ours = taken[Provider.ANTHROPIC]
    yield from _paced_rows("paced", ours, nginx, direct)
    yield Row("paced_delay_p50", ours.delay_p50_ms, nginx.delay_p50_ms, direct.delay_p50_ms)
    yield Row("paced_delay_p99", ours.delay_p99_ms, nginx.delay_p99_ms, direct.delay_p99_ms)
    yield from _paced_rows("translated", taken[Provider.OPENAI])


def first_byte(bench: Bench) -> Iterator[Row]:
    """Time the first byte of a stream with one connection, each subject in turn."""
    with ExitStack() as stack:
        subjects = {
            "direct": bench.paced,
            "nginx": stack.enter_context(nginx_proxy(bench.paced)).address,
            "gateway": stack.enter_context(gateway(GatewayPlan(bench.paced))).address,
        }
        times: dict[str, list[float]] = {name: [] for name in subjects}
        for turn in range(bench.rounds + 1):
            for name, address in subjects.items():
                request = request_bytes(address, paced_request(ONE_DELTA))
                taken = first_byte_ms(address, request, FIRST_BYTES)
                times[name] += taken if turn else ()  # the first is for warming up
    p50 = {name: statistics.median(values) for name, values in times.items()}
    yield Row("ttfb", p50["gateway"], p50["nginx"], p50["direct"])
    yield Row("ttfb_added", p50["gateway"] - p50["direct"], p50["nginx"] - p50["direct"])


def memory(bench: Bench) -> Iterator[Row]:
    """Weigh the gateway idle, with 500 streams, and busy with 500 connections."""
    with nginx_proxy(bench.paced) as subject:
        nginx_idle_mb, nginx_mb = _held_mb(subject)
    with gateway(GatewayPlan(bench.paced)) as subject:
        idle_mb, held_mb = _held_mb(subject)
    with nginx_proxy(bench.canned) as subject:
        nginx, nginx_busy_mb = _busy(bench, subject)
    with gateway(GatewayPlan(bench.canned)) as subject:
        ours, ours_busy_mb = _busy(bench, subject)
        prove(subject.address, ours.requests)
    yield Row("idle_mb", idle_mb, nginx_idle_mb)
    yield Row("streams_mb", held_mb, nginx_mb)
    yield Row("busy_per_s", ours.per_second, nginx.per_second)
    yield Row("busy_mb", ours_busy_mb, nginx_busy_mb)


def _paced_rows(prefix: str, *reports: StreamReport) -> Iterator[Row]:
    yield Row(f"{prefix}_broken", *(report.broken for report in reports))
    yield Row(f"{prefix}_faults", *(report.faults.total for report in reports))
    yield Row(f"{prefix}_glued", *(report.glued for report in reports))


def _held_mb(subject: Subject) -> tuple[float, float]:
    """Return the memory before, and the most while 500 streams are open."""
    take_whole(subject.address, ONE_DELTA, 1)  # what is loaded with the first request is not load
    idle_mb = memory_mb(subject.pid)
    with MemoryWatch(subject.pid) as watch:
        take_whole(subject.address, HELD, HELD_STREAMS)
    return idle_mb, watch.peak_mb


def _busy(bench: Bench, subject: Subject) -> tuple[wrk.Load, float]:
    """Return what 500 busy connections got, and the most memory meanwhile."""
    body = plain_request(1)
    with MemoryWatch(subject.pid) as watch:
        load = wrk.load(subject.address, body, BUSY_CONNECTIONS, BUSY_S, bench.scratch)
    return load, watch.peak_mb
