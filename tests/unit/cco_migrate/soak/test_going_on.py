"""A soak that is killed, undecided or robbed of its evidence goes on, or says why not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cco_migrate.errors import NotJournaled, Undecided
from cco_migrate.soak import check as soak
from cco_migrate.soak.check import SoakThrough
from cco_migrate.soak.log import FILENAME
from cco_migrate.soak.terms import Offer
from cco_migrate.verdict import Verdict
from cco_migrate.world import Files
from tests.unit.cco_migrate.soak.scene import (
    BAKE_S,
    Bench,
    criteria,
    ordered,
)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("minute", range(1, 5))
def test_soak_that_was_killed_goes_on_with_the_same_evidence(bench: Bench, minute: int) -> None:
    def kill(number: int) -> None:
        bench.gateway.serve(10)
        if number == minute:
            raise Killed

    bench.clock.every_minute = kill
    check = SoakThrough()
    receipt = check.prepare(bench.step, bench.context)
    with pytest.raises(Killed):
        check.measure(bench.step, receipt, bench.context)
    with bench.path.open("ab") as file:
        file.write(b'{"v":1,"prev"')  # it died in the middle of a line
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    assert check.prepare(bench.step, bench.context) == receipt
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 50
    window: Any = judgement.facts["window"]
    assert window["number"] == 1


def test_soak_killed_after_its_verdict_says_the_same_again(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    before = bench.soak()
    bench.clock.at += 10_000
    assert bench.soak() == before


def test_soak_that_nobody_watched_past_its_deadline_is_not_go(bench: Bench) -> None:
    def kill(number: int) -> None:
        bench.gateway.serve(60)
        if number == 3:
            raise Killed

    bench.clock.every_minute = kill
    with pytest.raises(Killed):
        bench.soak()
    bench.clock.at += BAKE_S
    bench.clock.every_minute = lambda _: None
    receipt = SoakThrough().prepare(bench.step, bench.context)
    assert receipt["number"] == 2  # another bake time, with the evidence there is
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 180


def test_undecided_soak_can_be_given_another_bake_time(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(4)
    assert bench.soak().verdict is Verdict.INCONCLUSIVE
    bench.clock.every_minute = lambda _: bench.gateway.serve(6)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 50


def test_clock_that_is_set_back_stops_nothing(bench: Bench) -> None:
    def minute(number: int) -> None:
        bench.gateway.serve(10)
        if number == 3:
            bench.clock.set_back_s = 90

    bench.clock.every_minute = minute
    assert bench.soak().verdict in {Verdict.GO, Verdict.INCONCLUSIVE}
    assert bench.log.closed is not None


@pytest.mark.parametrize(
    "damage",
    [b"nonsense\n", b'{"v":1,"prev":"00","kind":"look","data":{}}\n', b"[]\n"],
    ids=["no JSON", "another line before", "no object"],
)
def test_evidence_that_was_changed_by_something_else_is_refused(
    bench: Bench, damage: bytes
) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.soak()
    with bench.path.open("ab") as file:
        file.write(damage)
    with pytest.raises(Undecided, match=rf"{FILENAME}:9: not a line of this soak"):
        bench.soak()  # nothing is rolled back for it, and nothing is GO


def test_evidence_that_cannot_be_written_leaves_the_run_open(bench: Bench) -> None:
    class Full(Files):
        def append(self, path: Any, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    world = replace(bench.context.world, files=Full())
    bench.context = replace(bench.context, world=world)
    with pytest.raises(NotJournaled, match=f"{FILENAME}: No space left"):
        bench.soak()


def test_own_requests_are_offered_evenly_bounded_and_counted_apart(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.step = ordered(criteria(), offer=Offer(60, ("claude-haiku-4-5",), "demo"))
    judgement = bench.soak()
    assert judgement.verdict is Verdict.GO, judgement.summary
    lines = [json.loads(line) for line in bench.path.read_text().splitlines()]
    looks = [line["data"]["tallies"] for line in lines if line["kind"] == "look"]
    assert [look["synthetic-failures"]["n"] for look in looks] == [0, 12, 12, 12, 12, 12]
    assert bench.gateway.posts == 60
    statistics: Any = judgement.facts["statistics"]
    assert statistics["rates"]["error-rate"]["n"] == 50


def test_own_requests_that_fail_are_no_go_of_their_own_criterion(bench: Bench) -> None:
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.gateway.answers = False
    bench.step = ordered(criteria(), offer=Offer(60, ("claude-haiku-4-5",), "demo"))
    judgement = bench.soak()
    assert judgement.verdict is Verdict.NO_GO
    assert judgement.summary.startswith("synthetic-failures: 12 of 12 requests")


def test_credential_that_is_gone_after_a_kill_leaves_the_soak_undecided(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CCO_TEST_KEY", raising=False)
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    offer = Offer(60, ("claude-haiku-4-5",), "env:CCO_TEST_KEY")
    bench.step = ordered(criteria(), offer=offer)
    judgement = bench.soak()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "synthetic-failures: not measured: --key env:CCO_TEST_KEY" in judgement.summary
    assert bench.gateway.posts == 0


def test_status_shows_where_a_soak_stands(bench: Bench) -> None:
    assert soak.standing(bench.step, bench.context.run_dir, bench.context.world) == []
    bench.clock.every_minute = lambda _: bench.gateway.serve(10)
    bench.soak()
    head, *lines = soak.standing(bench.step, bench.context.run_dir, bench.context.world)
    assert head == "soak: 6 looks, ended with GO"
    assert [line.split()[:2] for line in lines][-2:] == [
        ["GO", "cost-accuracy"], ["GO", "audit-gaps"],
    ]  # fmt: skip
