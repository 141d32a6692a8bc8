"""The gates of phases 0, 2 and 3 in three worlds: healthy, quiet, lying."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cco_migrate.gates.kept import Kept
from cco_migrate.gates.measured import Daemon, Measured
from cco_migrate.gates.order import Order
from cco_migrate.gates.phases import PHASES, TABLE, criteria_of
from cco_migrate.judge.criterion import Kind, Mode
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.probes.glances import Glance
from cco_migrate.verdict import Verdict

Scene = Any  # Any: the fixture of conftest.py, which cannot be imported

MINUTES = {2: 4 * 1440, 3: 6 * 1440}
BOTH = (2, 3)


def ordered(scene: Scene, phase: int) -> Order:
    order: Order = scene.order(phase=phase, every=60)
    return order


def seen(scene: Scene, glances: tuple[Glance, ...], *runs: Any) -> Measured:
    """A healthy measurement after these looks and runs."""
    measured: Measured = scene.healthy(glances)
    return replace(measured, kept=Kept(glances, (scene.run(), *runs)))


def changed(glances: tuple[Glance, ...], begin: int, **change: Any) -> tuple[Glance, ...]:
    """Change every look from one on."""
    return (*glances[:begin], *(replace(one, **change) for one in glances[begin:]))


@pytest.mark.parametrize("phase", BOTH)
def test_healthy_gateway_is_go(scene: Scene, phase: int) -> None:
    judged = scene.judged(ordered(scene, phase), seen(scene, scene.glances(MINUTES[phase])))
    assert judged.verdict is Verdict.GO, [row.text for row in judged.rows]
    rows = {row.ruling.criterion.id: row.ruling for row in judged.rows}
    complaints = rows.pop("complaints")
    assert (complaints.verdict, complaints.in_the_way) == (Verdict.INCONCLUSIVE, False)
    assert {ruling.verdict for ruling in rows.values()} == {Verdict.GO}


@pytest.mark.parametrize("phase", BOTH)
def test_quiet_gateway_is_inconclusive_and_nothing_is_no_go(scene: Scene, phase: int) -> None:
    glances = scene.glances(
        MINUTES[phase], requests=0.0, streams=0.0, overhead_s=0.0, overheads=0.0
    )
    silent = replace(
        seen(scene, glances), sent=(), unsent="no verification traffic was asked for",
        records=Unmeasured("no verification traffic was asked for"), audit=(),
    )  # fmt: skip
    order = replace(ordered(scene, phase), approvals=None, baseline=None)
    judged = scene.judged(order, silent)
    verdicts = {row.ruling.criterion.id: row.ruling.verdict for row in judged.rows}
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert Verdict.NO_GO not in verdicts.values()
    for name in ("error-rate", "streaming-failures", "latency-average", "latency-ratio",
                 "team-approval", "audit-complete", "audit-gaps", "complaints"):  # fmt: skip
        assert verdicts[name] is Verdict.INCONCLUSIVE, name
    assert verdicts.get("throughput-ratio", Verdict.INCONCLUSIVE) is Verdict.INCONCLUSIVE


def test_window_that_is_not_over_is_inconclusive(scene: Scene) -> None:
    rows = scene.rows(ordered(scene, 2), seen(scene, scene.glances(1440)))
    assert rows["availability"].ruling.verdict is Verdict.INCONCLUSIVE
    rows = scene.rows(ordered(scene, 3), seen(scene, scene.glances(MINUTES[2])))
    assert rows["availability"].ruling.verdict is Verdict.INCONCLUSIVE


def grown(**change: float) -> Callable[[Scene, int], Measured]:
    return lambda scene, phase: seen(scene, scene.glances(MINUTES[phase], **change))


def away(scene: Scene, phase: int) -> Measured:
    glances = scene.glances(MINUTES[phase])
    return seen(scene, (*changed(glances[:60], 40, up=False), *glances[60:]))


def reset(scene: Scene, phase: int) -> Measured:
    """Counters that fall in the middle while no process was replaced."""
    first = scene.glances(MINUTES[phase])
    half = MINUTES[phase] // 2
    again = tuple(
        replace(late, tally=early.tally) for late, early in zip(first[half:], first, strict=False)
    )
    return seen(scene, (*first[:half], *again))


def noted(**change: Any) -> Callable[[Scene, int], Measured]:
    return lambda scene, phase: replace(seen(scene, scene.glances(MINUTES[phase])), **change)


def lost(scene: Scene, phase: int) -> Measured:
    """Every number twice at one place and not at all at another."""
    records = scene.audited(200)
    again = {**records[0], "id": 999}
    return noted(audit=(again, *records[:90], *records[91:]))(scene, phase)


LIES: Mapping[str, tuple[Callable[[Scene, int], Measured], str, str]] = {
    "streams of real clients break": (
        grown(broken=10.0), "streaming-failures", "requests (20.00%)",
    ),
    "requests of real clients fail": (grown(failed=1.0), "error-rate", "requests (2.00%)"),
    "the gateway is slow by itself": (
        grown(overhead_s=40.0), "latency-average", "mean 800 ms",
    ),
    "twenty minutes away in days": (away, "availability", "1 outages"),
    "counters that fell long ago": (
        reset, "evidence-integrity", "fell from",
    ),
    "a record lost and one doubled in equal number": (
        lost, "audit-gaps", "1 without record, 1 recorded twice; allowed at most 0 requests; "
        "process b0: 1 numbers without record, 1 recorded twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("phase", BOTH)
@pytest.mark.parametrize("lie", LIES)
def test_lie_is_no_go_and_named(scene: Scene, lie: str, phase: int) -> None:
    measure, name, words = LIES[lie]
    judged = scene.judged(ordered(scene, phase), measure(scene, phase))
    row = next(row for row in judged.rows if row.ruling.criterion.id == name)
    assert row.ruling.verdict is Verdict.NO_GO, row.text
    assert words in row.text
    assert judged.verdict is Verdict.NO_GO
    assert name in judged.summary


def test_slower_path_is_no_go_and_a_little_slower_one_a_persons_choice(scene: Scene) -> None:
    measured = seen(scene, scene.glances(MINUTES[2]))
    found = {}
    for times in (1.0, 1 / 1.35, 0.5):
        order = replace(ordered(scene, 2), baseline=scene.baseline(times))
        row = scene.rows(order, measured)["latency-ratio"]
        found[times] = (row.ruling.verdict, row.ruling.facts["ratio"])
    assert [verdict for verdict, _ in found.values()] == [
        Verdict.GO, Verdict.HOLD, Verdict.NO_GO,
    ]  # fmt: skip
    assert [ratio for _, ratio in found.values()] == pytest.approx([1.0, 1.35, 2.0], rel=0.01)


def test_path_of_less_throughput_is_no_go_and_a_little_less_a_persons_choice(scene: Scene) -> None:
    found = {}
    for times in (1.0, 0.65, 0.4):
        measured = replace(seen(scene, ()), throughput=scene.bursts(times))
        row = scene.rows(replace(ordered(scene, 2), baseline=scene.baseline()), measured)
        found[times] = row["throughput-ratio"].ruling
    assert [ruling.verdict for ruling in found.values()] == [
        Verdict.GO, Verdict.HOLD, Verdict.NO_GO,
    ]  # fmt: skip
    assert [ruling.facts["ratio"] for ruling in found.values()] == pytest.approx([1.0, 0.65, 0.4])


def test_baseline_without_throughput_says_to_capture_it_again(scene: Scene) -> None:
    old = replace(scene.baseline(), old=replace(scene.baseline().old, throughput={}))
    rows = scene.rows(replace(ordered(scene, 2), baseline=old), seen(scene, ()))
    assert rows["throughput-ratio"].ruling.verdict is Verdict.INCONCLUSIVE
    assert "capture it again" in rows["throughput-ratio"].text
    assert rows["latency-ratio"].ruling.verdict is Verdict.GO


@pytest.mark.parametrize(
    ("counted", "verdict"),
    [((4, 40), Verdict.INCONCLUSIVE), ((5, 40), Verdict.NO_GO), ((1, 9), Verdict.NO_GO)],
)
def test_complaints_of_more_than_a_tenth_of_the_users_are_no_go(
    scene: Scene, counted: tuple[int, int], verdict: Verdict
) -> None:
    order = ordered(scene, 2)
    given = {**(order.approvals or {}), "complaints": (
        scene.approval(order.scope, counted=(0, 40), at=scene.now - timedelta(hours=2)),
        scene.approval(order.scope, counted=counted),
    )}  # fmt: skip
    judged = scene.judged(replace(order, approvals=given), seen(scene, scene.glances(MINUTES[2])))
    row = next(row for row in judged.rows if row.ruling.criterion.id == "complaints")
    assert row.ruling.verdict is verdict, row.text
    assert f"{counted[0]} of {counted[1]} reported it" in row.text
    assert judged.verdict is (Verdict.NO_GO if verdict is Verdict.NO_GO else Verdict.GO)


@pytest.mark.parametrize(
    "change", [{"scope": "phase-1:c7"}, {"expires": datetime(2026, 1, 20, 11, tzinfo=UTC)}]
)
def test_complaints_that_nobody_counted_for_this_gate_are_inconclusive(
    scene: Scene, change: dict[str, Any]
) -> None:
    order = ordered(scene, 2)
    word = scene.approval(**{"scope": order.scope, "counted": (9, 9), **change})
    rows = scene.rows(replace(order, approvals={"complaints": (word,)}), seen(scene, ()))
    assert rows["complaints"].ruling.verdict is Verdict.INCONCLUSIVE
    assert "approve --gate complaints --count N --of USERS" in rows["complaints"].text
    assert rows["complaints"].ruling.in_the_way


RULED: Mapping[str, tuple[dict[str, Any], Verdict]] = {
    "overridden": ({"model": "new"}, Verdict.GO),
    "passed on as it was": ({}, Verdict.NO_GO),
    "nobody asked for a model that a rule names": ({"requested_model": "n"}, Verdict.INCONCLUSIVE),
    "only our own requests": ({"client": "cco-migrate verification"}, Verdict.INCONCLUSIVE),
}


@pytest.mark.parametrize("case", RULED)
def test_rules_that_replace_nothing_are_no_go(scene: Scene, case: str) -> None:
    change, verdict = RULED[case]
    criteria = criteria_of(2, TABLE, overrides=True)
    order = replace(ordered(scene, 2), criteria=criteria, overridden=frozenset({"m"}))
    measured = replace(seen(scene, ()), audit=scene.audited(20, **change))
    row = scene.rows(order, measured)["overrides-applied"]
    assert row.ruling.verdict is verdict, row.text


def test_prompts_that_miss_the_cache_are_shown_and_decide_nothing(scene: Scene) -> None:
    measured = replace(
        seen(scene, scene.glances(MINUTES[2])), audit=scene.audited(200, cache_read_tokens=0)
    )
    judged = scene.judged(ordered(scene, 2), measured)
    row = next(row for row in judged.rows if row.ruling.criterion.id == "cache-hit-rate")
    assert (row.ruling.verdict, row.ruling.enforced) == (Verdict.NO_GO, False)
    assert judged.verdict is Verdict.GO


def test_audit_that_cannot_be_read_leaves_what_rests_on_it_undecided(scene: Scene) -> None:
    for audit in (Unmeasured("/gateway/audit answers 404"), scene.audited(3, seq=None)):
        rows = scene.rows(ordered(scene, 2), replace(seen(scene, ()), audit=audit))
        assert rows["audit-gaps"].ruling.verdict is Verdict.INCONCLUSIVE


def test_planned_way_around_the_gateway_is_no_go(scene: Scene) -> None:
    measured = seen(scene, scene.glances(10))
    for switches, words in (
        ((False, False), "gatewayEnabled is false"),
        ((True, True), "clients may still take the old proxy"),
    ):
        row = scene.rows(replace(ordered(scene, 2), switches=switches), measured)["sole-route"]
        assert row.ruling.verdict is Verdict.NO_GO
        assert words in row.text
    row = scene.rows(replace(ordered(scene, 2), switches=None), measured)["sole-route"]
    assert row.ruling.verdict is Verdict.INCONCLUSIVE


def test_old_proxy_in_the_daemons_record_is_no_go_of_phase_3(scene: Scene) -> None:
    found = Daemon(Invariant(3, ("it names the old proxy on port 8080",)), Invariant(1))
    measured = replace(seen(scene, scene.glances(10)), daemon=found)
    row = scene.rows(ordered(scene, 3), measured)["daemon-record"]
    assert row.ruling.verdict is Verdict.NO_GO
    assert "the old proxy on port 8080" in row.text


@pytest.mark.parametrize(
    ("others", "ill", "verdict"),
    [(0, 0, Verdict.GO), (18, 1, Verdict.NO_GO), (19, 1, Verdict.GO), (39, 3, Verdict.NO_GO)],
)
def test_more_than_a_twentieth_of_all_systems_that_did_not_start_is_no_go(
    scene: Scene, others: int, ill: int, verdict: Verdict
) -> None:
    looks = {
        f"http://host{number}:1": Unmeasured(f"http://host{number}:1 does not answer")
        if number < ill
        else scene.health()
        for number in range(others)
    }
    measured = replace(seen(scene, scene.glances(10)), systems=looks)
    row = scene.rows(ordered(scene, 2), measured)["start-failures"]
    assert row.ruling.verdict is verdict, row.text
    assert ("http://host0:1 does not answer" in row.text) is bool(ill)


APPROVALS: Mapping[str, tuple[dict[str, Any], Verdict]] = {
    "approved": ({}, Verdict.GO),
    "refused": ({"approves": False}, Verdict.NO_GO),
    "for another phase": ({"scope": "phase-1:c7d2c7d2c7d2c7d2"}, Verdict.INCONCLUSIVE),
    "for another configuration": ({"scope": "phase-2:0ld0"}, Verdict.INCONCLUSIVE),
}


@pytest.mark.parametrize("case", APPROVALS)
def test_approval_holds_for_its_scope_alone(scene: Scene, case: str) -> None:
    change, verdict = APPROVALS[case]
    order = ordered(scene, 2)
    given = {"team-approval": (scene.approval(**{"scope": order.scope, **change}),)}
    rows = scene.rows(replace(order, approvals=given), seen(scene, scene.glances(10)))
    assert rows["team-approval"].ruling.verdict is verdict
    assert "scope phase-2:c7d2c7d2c7d2c7d2" in rows["team-approval"].text


def test_what_nobody_goes_back_for_is_only_observed(scene: Scene) -> None:
    glances = scene.glances(MINUTES[2])
    noisy = Daemon(Invariant(3), Invariant(9, ("7 lines of daemon.log",)))
    measured = replace(seen(scene, glances), daemon=noisy)
    judged = scene.judged(ordered(scene, 2), measured)
    row = next(row for row in judged.rows if row.ruling.criterion.id == "log-errors")
    assert (row.ruling.verdict, row.ruling.enforced) == (Verdict.NO_GO, False)
    assert judged.verdict is Verdict.GO


def test_restart_with_new_processes_begins_the_window_anew(scene: Scene) -> None:
    glances = scene.glances(MINUTES[2], failed=25.0)
    fresh = tuple(
        replace(late, tally=replace(early.tally, boots=("b1",)))
        for late, early in zip(glances[-200:], scene.glances(200), strict=False)
        if early.tally
    )
    rows = scene.rows(ordered(scene, 2), seen(scene, (*glances[:-200], *fresh)))
    assert rows["error-rate"].ruling.verdict is Verdict.GO
    assert "the window begins with the last one" in rows["error-rate"].text
    assert (rows["process-restarts"].ruling.verdict, rows["process-restarts"].ruling.k) == (
        Verdict.NO_GO, 1,
    )  # fmt: skip
    assert rows["availability"].ruling.verdict is Verdict.GO


def test_baseline_of_whole_streams_is_go_and_a_few_are_inconclusive(scene: Scene) -> None:
    order = scene.order(phase=0, baseline="baseline.json")
    assert scene.judged(order, scene.healthy()).verdict is Verdict.INCONCLUSIVE
    more = replace(scene.healthy(), sent=tuple(scene.sent(number) for number in range(60)))
    assert scene.judged(order, more).verdict is Verdict.GO
    quiet = replace(scene.healthy(), sent=(), unsent="no verification traffic was asked for")
    assert scene.judged(order, quiet).verdict is Verdict.INCONCLUSIVE


def test_baseline_of_broken_streams_is_no_go(scene: Scene) -> None:
    order = scene.order(phase=0, baseline="baseline.json")
    cut = tuple(
        scene.sent(number, faults=("the stream has no message_stop at its end",))
        for number in range(60)
    )
    judged = scene.judged(order, replace(scene.healthy(), sent=cut))
    assert judged.verdict is Verdict.NO_GO
    assert "no message_stop" in judged.rows[0].text


def test_enforced_are_the_figures_of_the_documents_and_attestations() -> None:
    for phase, names in PHASES.items():
        asked = criteria_of(phase, TABLE)
        observed = [one for one in asked if one.mode is Mode.OBSERVE]
        assert len({one.id for one in asked}) == len(names)
        assert all(one.source for one in asked)
        assert all(
            any(words in one.source for words in ("do not roll back", "ours", "monitoring"))
            for one in observed
        )
        said = [one for one in asked if one.kind is Kind.ATTESTATION]
        assert bool(said) is (phase > 1)
