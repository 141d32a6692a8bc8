"""Limits of clients on a clock that the test turns: who is let in, and when the others may come."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.access.limits import (
    MAX_RETRY_AFTER_S,
    Admission,
    Cells,
    Limit,
    OverLimit,
    RateLimiter,
    Share,
    cells_needed,
)
from gateway.access.shared_cells import open_cells
from gateway.config.settings import LimitSettings
from gateway.wire.usage import Usage
from gateway.wire.workers import WorkerIdentity

SECOND = 10**9


class Clock:
    """Nanoseconds; starts late enough to show that zero is not taken for now."""

    def __init__(self) -> None:
        self.now = 1_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


class Team:
    """One limited client at one or several workers."""

    def __init__(self, limits: LimitSettings, workers: int = 1) -> None:
        self.clock = Clock()
        self.refused: list[Limit] = []
        self.cells: Cells = [0] * cells_needed(2, workers)
        self.entries: dict[str | None, LimitSettings] = {"other": LimitSettings(), "team": limits}
        self.workers = [self.start(slot, workers) for slot in range(workers)]

    def start(self, slot: int, workers: int) -> RateLimiter:
        share = Share(self.cells, slot, workers)
        return RateLimiter(self.entries, share, self.clock, self.refused.append)

    def admitted(self, times: int, *, aside: bool = False) -> int:
        """Return how many of so many requests, each over at once, the workers let in by turns."""
        before = len(self.refused)
        for number in range(times):
            worker = self.workers[number % len(self.workers)]
            try:
                worker.admit("team", aside=aside).release()
            except OverLimit:
                continue
        return times - (len(self.refused) - before)

    def wait_s(self, *, aside: bool = False) -> int:
        """Return what the next request is told to wait; 0 when it is let in."""
        try:
            self.workers[0].admit("team", aside=aside).release()
        except OverLimit as refusal:
            ((name, value),) = refusal.headers
            assert (refusal.status, refusal.kind, name) == (429, "rate_limit_error", b"retry-after")
            assert f"try again in {value.decode()} s" in str(refusal)
            return int(value)
        return 0


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("limit", [1, 7, 60, 1000])
def test_a_minute_takes_as_many_requests_as_allowed(limit: int, workers: int) -> None:
    team = Team(LimitSettings(requests_per_minute=limit), workers)
    assert team.admitted(limit + 5) == limit
    assert set(team.refused) == {Limit.REQUESTS}
    team.clock.pass_s(60)
    assert team.admitted(limit + 5) == limit


def test_refused_request_draws_nothing() -> None:
    team = Team(LimitSettings(requests_per_minute=6))
    team.admitted(6)
    for _ in range(5):
        team.clock.pass_s(1)
        assert team.admitted(10) == 0
    team.clock.pass_s(5)
    assert team.admitted(10) == 1, "ten seconds make one of six a minute"


@pytest.mark.parametrize(
    ("limit", "passed_s", "wait_s"),
    [(60, 0, 1), (6, 0, 10), (6, 0.5, 10), (6, 9.5, 1), (1, 0, 60), (1, 59.5, 1)],
)
def test_retry_after_is_when_the_next_request_fits(
    limit: int, passed_s: float, wait_s: int
) -> None:
    team = Team(LimitSettings(requests_per_minute=limit))
    team.admitted(limit)
    team.clock.pass_s(passed_s)
    assert team.wait_s() == wait_s
    team.clock.pass_s(wait_s)
    assert team.wait_s() == 0


def test_token_counts_have_a_bucket_of_their_own() -> None:
    team = Team(LimitSettings(requests_per_minute=3))
    assert team.admitted(5) == 3
    assert team.admitted(5, aside=True) == 3


def charge(admission: Admission, usage: Usage) -> None:
    admission.charge(usage)
    admission.release()


@pytest.mark.parametrize(
    ("usage", "wait_s"),
    [
        (Usage(input_tokens=400, output_tokens=599), 0),
        (Usage(input_tokens=400, output_tokens=600), 1),
        (Usage(cache_write_5m_tokens=700, cache_write_1h_tokens=300), 1),
        (Usage(input_tokens=900, cache_read_tokens=10_000_000), 0),
        (Usage(output_tokens=1500), 31),
        (Usage(output_tokens=5000), MAX_RETRY_AFTER_S),
    ],
)
def test_tokens_are_drawn_after_the_answer(usage: Usage, wait_s: int) -> None:
    team = Team(LimitSettings(tokens_per_minute=1000))
    charge(team.workers[0].admit("team"), usage)
    assert team.wait_s() == wait_s
    assert team.wait_s(aside=True) == 0, "a token count uses no tokens"
    assert team.refused == ([Limit.TOKENS] if wait_s else [])


def test_tokens_overdrawn_are_made_up_for() -> None:
    team = Team(LimitSettings(tokens_per_minute=1000))
    charge(team.workers[0].admit("team"), Usage(output_tokens=3000))
    team.clock.pass_s(120)
    assert team.wait_s() == 1, "two thousand of three: nothing left yet"
    team.clock.pass_s(1)
    assert team.wait_s() == 0


def test_debt_is_forgiven_after_an_hour() -> None:
    team = Team(LimitSettings(tokens_per_minute=1))
    charge(team.workers[0].admit("team"), Usage(output_tokens=2**53))
    team.clock.pass_s(3600)
    assert team.wait_s() == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_concurrency_counts_what_is_open(workers: int) -> None:
    team = Team(LimitSettings(concurrent_requests=2), workers)
    first, second = team.workers[0].admit("team"), team.workers[-1].admit("team", aside=True)
    assert (team.wait_s(), team.refused) == (1, [Limit.CONCURRENCY])
    for _ in range(3):
        second.release()
    third = team.workers[0].admit("team")
    assert team.wait_s() == 1
    first.release()
    third.release()
    assert team.admitted(9) == 9


def test_replacement_of_a_killed_worker_forgets_what_was_open() -> None:
    team = Team(LimitSettings(concurrent_requests=2), workers=2)
    team.workers[0].admit("team")
    team.workers[1].admit("team")
    assert team.wait_s() == 1
    team.workers[1] = team.start(1, 2)
    assert team.wait_s() == 0


def test_limits_are_each_clients_own() -> None:
    clock = Clock()
    entries: dict[str | None, LimitSettings] = {"free": LimitSettings()}
    entries |= {name: LimitSettings(1, 1, 1) for name in ("a", "b")}
    limiter = RateLimiter(entries, Share([0] * cells_needed(3, 1), 0, 1), clock)
    charge(limiter.admit("a"), Usage(output_tokens=9))
    for name in ("b", "free", "free"):
        charge(limiter.admit(name), Usage(output_tokens=9))
    for name in ("a", "b"):
        with pytest.raises(OverLimit, match=rf'client "{name}" is limited to 1 tokens a minute'):
            limiter.admit(name)


@pytest.mark.parametrize("limits", [LimitSettings(), LimitSettings(1)], ids=["none", "one"])
def test_it_is_known_whether_anybody_is_limited(limits: LimitSettings) -> None:
    entries: dict[str | None, LimitSettings] = {"free": LimitSettings(), "a": limits}
    limiter = RateLimiter(entries, Share([0] * cells_needed(2, 1), 0, 1), Clock())
    assert limiter.limits_some is (limits != LimitSettings())


def test_everybody_without_a_name_shares_one_bucket() -> None:
    entries: dict[str | None, LimitSettings] = {None: LimitSettings(requests_per_minute=1)}
    limiter = RateLimiter(entries, Share([0] * cells_needed(1, 1), 0, 1), Clock())
    limiter.admit(None).release()
    with pytest.raises(OverLimit, match="this gateway is limited to 1 requests a minute"):
        limiter.admit(None)


# -- the file that several workers share


def identity(slot: int = 0, generation: int = 1, supervisor: str = "s1") -> WorkerIdentity:
    return WorkerIdentity(slot, generation, f"boot{slot}", "127.0.0.1:0", supervisor)


def test_cells_are_shared_by_one_set_and_begin_anew_with_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "limits"
    first, second = (open_cells(folder, identity(slot), "f1", 3) for slot in range(2))
    first[2] = 2**60
    assert list(second) == [0, 0, 2**60]
    assert list(open_cells(folder, identity(), "f2", 4)) == [0, 0, 0, 0], "another configuration"
    assert list(open_cells(folder, identity(generation=10), "f1", 3)) == [0, 0, 0]
    second[0] = 7
    assert first[0] == 7, "who still uses what was removed goes on"
    assert [path.name for path in folder.iterdir()] == ["s1-10-f1.cells"]
    open_cells(folder, identity(supervisor="s2"), "f1", 3)
    (left,) = folder.iterdir()
    assert (left.name, left.stat().st_mode & 0o777) == ("s2-1-f1.cells", 0o600)


def test_cells_without_a_disk_are_the_workers_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "limits").write_text("no folder")
    first, second = (open_cells(tmp_path / "limits", identity(slot), "f1", 2) for slot in range(2))
    first[0] = 1
    assert list(second) == [0, 0]
    assert "limits are not shared between workers" in caplog.text


def _admit(folder: Path, slot: int, times: int, report: Callable[[int], None]) -> None:
    cells = open_cells(folder, identity(slot), "f", cells_needed(1, 2))
    entries: dict[str | None, LimitSettings] = {None: LimitSettings(requests_per_minute=50)}
    limiter = RateLimiter(entries, Share(cells, slot, 2), Clock())  # which stands still
    admitted = 0
    for _ in range(times):
        try:
            limiter.admit(None).release()
            admitted += 1
        except OverLimit:
            continue
    report(admitted)
    os._exit(0)  # as a worker that is killed: nothing is tidied up


def test_processes_keep_to_a_limit_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    admitted = []
    for slot in range(2):
        ours, theirs = context.Pipe(duplex=False)
        work = context.Process(target=_admit, args=(tmp_path, slot, 40, theirs.send))
        work.start()
        admitted.append(ours.recv())
        work.join()
    assert admitted == [40, 10]
