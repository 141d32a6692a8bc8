"""Figures of real traffic from what a gateway counts: windows, resets, growth, and their price."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.rates import Rate
from cco_migrate.probes.counters import Counters, cumulative
from cco_migrate.probes.footprint import Footprint, footprint, log_errors, log_size, record_faults
from cco_migrate.probes.glances import Glance, glance
from cco_migrate.probes.site import Site
from cco_migrate.probes.tallies import FIGURES, Figure, Tally, tally_of
from cco_migrate.probes.windows import (
    error_rate,
    growth_means,
    outages,
    overhead_means,
    streaming_failures,
    window_of,
)
from cco_migrate.world import World

EXPOSED = """\
# TYPE gateway_requests_total counter
gateway_requests_total{model="a",status="200",stream="true"} 80
gateway_requests_total{model="b",status="200",stream="false"} 10
gateway_requests_total{model="a",status="529",stream="true"} 4
gateway_requests_total{model="a",status="400",stream="false"} 3
gateway_requests_total{model="a",status="499",stream="true"} 2
# TYPE gateway_streams_broken_total counter
gateway_streams_broken_total{cause="client"} 5
gateway_streams_broken_total{cause="provider"} 6
# TYPE gateway_overhead_seconds histogram
gateway_overhead_seconds_bucket{le="+Inf"} 90
gateway_overhead_seconds_sum 1.5
gateway_overhead_seconds_count 90
"""
MINUTE_S = 60.0


def counters(text: str) -> Counters:
    return Counters(cumulative(text), ("b0",), 0.0)


def tally(boot: str = "b0", **figures: float) -> Tally:
    named: Mapping[str, float] = figures
    return Tally((boot,) if boot else (), tuple(named.get(one, 0.0) for one in FIGURES))


def minutely(*tallies: Tally | None) -> list[Glance]:
    return [Glance(MINUTE_S * n, up=True, tally=one) for n, one in enumerate(tallies)]


def test_figures_are_told_apart_by_status_stream_and_who_broke_off() -> None:
    found = dict(zip(FIGURES, tally_of(counters(EXPOSED)).figures, strict=True))
    assert found == {
        Figure.REQUESTS: 99, Figure.FAILED: 7, Figure.LEFT: 2,
        Figure.STREAMS: 86, Figure.FAILED_STREAMS: 4, Figure.LEFT_STREAMS: 2,
        Figure.BROKEN: 6, Figure.ABANDONED: 5, Figure.OVERHEAD_S: 1.5, Figure.OVERHEADS: 90,
    }  # fmt: skip


def test_what_a_gateway_does_not_count_is_not_nought() -> None:
    only = tally_of(counters("# TYPE gateway_requests_total counter\ngateway_requests_total 0\n"))
    found = dict(zip(FIGURES, only.figures, strict=True))
    assert found[Figure.FAILED] == 0
    assert math.isnan(found[Figure.BROKEN])
    window = window_of(minutely(only, only))
    for measure in (error_rate, streaming_failures, overhead_means):
        assert isinstance(measure(window), Unmeasured), measure


def test_rates_leave_out_whom_nobody_else_failed() -> None:
    window = window_of(minutely(tally(), tally_of(counters(EXPOSED))))
    errors, streams = error_rate(window), streaming_failures(window)
    assert isinstance(errors, Rate)
    assert isinstance(streams, Rate)
    assert (errors.k, errors.n, errors.aborted) == (13, 92, 7)
    assert (streams.k, streams.n, streams.aborted) == (10, 79, 7)


def test_failures_of_one_minute_weigh_less_than_as_many_spread_over_an_hour() -> None:
    steps = [tally(requests=100.0 * n, failed=20.0 * (n > 30)) for n in range(60)]
    burst = error_rate(window_of(minutely(*steps)))
    spread = error_rate(
        window_of(minutely(*(tally(requests=100.0 * n, failed=float(n // 3)) for n in range(60))))
    )
    assert isinstance(burst, Rate)
    assert isinstance(spread, Rate)
    assert burst.design_effect > 10
    assert spread.design_effect == 1


def test_mean_of_the_last_minutes_is_not_hidden_by_a_lifetime() -> None:
    means = overhead_means(window_of(minutely(
        tally(overhead_s=3000.0, overheads=10_000.0), tally(overhead_s=3360.0, overheads=10_500.0),
    )))  # fmt: skip
    assert not isinstance(means, Unmeasured)
    assert means.windows.mean == pytest.approx(720)


FALLS: Mapping[str, tuple[tuple[Tally | None, ...], int, int, float]] = {
    "grown": ((tally(requests=5), tally(requests=9)), 0, 0, 4),
    "reset in the same process": ((tally(requests=5), tally(requests=2)), 1, 0, 0),
    "reset with a new process": (
        (tally(requests=1), tally(requests=5), tally("b1", requests=2), tally("b1", requests=9)),
        0, 1, 7,
    ),
    "reset and nobody names the process": (
        (tally("", requests=5), tally("", requests=2)), 0, 1, 0,
    ),
    "replaced workers that go on counting": (
        (tally(requests=5), tally("b1", requests=9)), 0, 0, 4,
    ),
    "unread in between": ((tally(requests=5), None, tally(requests=9)), 0, 0, 4),
}  # fmt: skip


@pytest.mark.parametrize("case", FALLS)
def test_reset_is_told_from_growth(case: str) -> None:
    tallies, broken, restarts, grown = FALLS[case]
    window = window_of(minutely(*tallies))
    assert (len(window.broken), len(window.restarts)) == (broken, restarts)
    assert sum(row[0] for row in window.blocks(Figure.REQUESTS)) == grown


def test_growth_with_verification_traffic_in_it_is_left_out() -> None:
    glances = minutely(tally(requests=5), None, tally(requests=50), tally(requests=51))
    glances[1] = replace(glances[1], ours=True)
    assert [row[0] for row in window_of(glances).blocks(Figure.REQUESTS)] == [1]


def test_time_between_two_looks_that_were_too_far_apart_is_unseen() -> None:
    assert isinstance(outages((), 30), Unmeasured)
    found = outages((Glance(0.0, up=True), Glance(30.0, up=True), Glance(330.0, up=True)), 30)
    assert not isinstance(found, Unmeasured)
    assert (found.unseen_s, found.outages) == (270, 0)


def test_leak_is_measured_in_mib_an_hour() -> None:
    glances = [
        Glance(600.0 * n, up=True, footprint=Footprint((100 + 8 * n) << 20, 5)) for n in range(7)
    ]
    memory = growth_means(glances, lambda one: one.memory_bytes)
    disk = growth_means(glances, lambda one: one.disk_bytes)
    assert not isinstance(memory, Unmeasured)
    assert not isinstance(disk, Unmeasured)
    assert memory.windows.n == 6
    assert memory.windows.mean == pytest.approx(48)
    assert disk.windows.mean == 0
    assert isinstance(growth_means([Glance(0.0, up=True)], lambda one: one.disk_bytes), Unmeasured)


def test_running_daemon_leaves_a_sound_record_and_a_footprint(
    daemon: Callable[[str], int], tmp_path: Path, world: World, serve: Callable[..., str]
) -> None:
    pid, home = daemon(""), tmp_path / "home"
    url = serve(lambda _method, _target, _body: (200, {}, b"{}"))
    record = json.loads((home / "daemon.pid").read_bytes())
    good = {**record, "gateway_port": int(url.rpartition(":")[2])}
    cases = {
        "": good,
        "names the old proxy on port 81": {**good, "proxy_port": 81},
        "names no gateway port": {**good, "gateway_port": 0},
        "does not answer": {**good, "gateway_port": 1},
        "is gone, or another one": {**good, "started_at": "2020-01-01T00:00:00+00:00"},
        "names no process": {**good, "pid": "x"},
    }
    for words, row in cases.items():
        (home / "daemon.pid").write_text(json.dumps(row))
        found = record_faults(Site(url, world), home)
        assert not isinstance(found, Unmeasured)
        assert bool(words) == bool(found.broken), words
        assert words in "; ".join(found.broken)
    (home / "daemon.pid").write_text(json.dumps({**good, "pid": pid}))
    takes = footprint(home, world)
    assert takes is not None
    assert takes.memory_bytes > 1 << 20
    assert takes.disk_bytes >= (home / "daemon.pid").stat().st_size


def test_home_without_a_daemon_is_unmeasured(tmp_path: Path, world: World) -> None:
    site = Site("http://127.0.0.1:1", world)
    assert footprint(tmp_path, world) is None
    assert isinstance(record_faults(site, tmp_path), Unmeasured)
    assert isinstance(record_faults(site, None), Unmeasured)
    assert isinstance(log_errors(tmp_path, 0), Unmeasured)
    assert isinstance(log_errors(None, 0), Unmeasured)
    assert log_size(tmp_path) == 0


def test_only_errors_since_the_beginning_count_and_their_words_stay_away(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_text("2026 ERROR old sk-secret\n")
    begin = log_size(tmp_path)
    with log.open("a") as file:
        file.write("2026 INFO fine\n2026 ERROR new sk-secret\nTraceback (most recent call last)\n")
    found = log_errors(tmp_path, begin)
    assert not isinstance(found, Unmeasured)
    assert found.broken == (f"2 lines of {log}",)
    log.write_text("2026 ERROR rotated\n")
    rotated = log_errors(tmp_path, begin)
    assert not isinstance(rotated, Unmeasured)
    assert rotated.broken == (f"1 lines of {log}",)


def test_glance_at_a_gateway_and_at_none(
    serve: Callable[..., str], world: World, closed_port: int
) -> None:
    answers = {
        "/health": b'{"status": "ok"}', "/metrics": EXPOSED.encode(),
        "/gateway/workers": json.dumps({"workers": [{
            "slot": 0, "generation": 1, "boot_id": "b7", "fingerprint": "f", "state": "serving",
        }]}).encode(),
    }  # fmt: skip
    url = serve(lambda _method, target, _body: (200, {}, answers.get(target, b"{}")))
    seen = glance(Site(url, world))
    assert seen.up
    assert seen.tally is not None
    assert (seen.tally.boots, seen.tally.figures[0]) == (("b7",), 99)
    assert Glance.from_json(json.loads(json.dumps(seen.to_json()))).tally == seen.tally
    away = glance(Site(f"http://127.0.0.1:{closed_port}", world))
    assert (away.up, away.tally) == (False, None)
