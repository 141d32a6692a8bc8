"""What a gate makes of its measurements: each verdict, with words that name the cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cco_migrate.criteria import CRITERIA
from cco_migrate.gates.evidence import EVIDENCE
from cco_migrate.gates.measured import Measured
from cco_migrate.gates.order import Order
from cco_migrate.gates.phases import EARLIER, OVERRIDES, PHASES, TABLE, criteria_of
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.verdict import Verdict

STREAMS = 43
Scene = Any  # Any: the fixture of conftest.py, which cannot be imported

# What was measured, and the criterion that sees it, with its verdict and words.
CASES: Mapping[str, tuple[Callable[[Scene], Measured], str, Verdict, str]] = {
    "stale worker that only answers health": (
        lambda scene: scene.after(
            health=(*(scene.health(),) * 7, scene.health("b1", fingerprint="0ld0"))
        ),
        "config-loaded", Verdict.NO_GO, "/health of process b1 has 0ld0",
    ),
    "nobody names all workers and one of two was met": (
        lambda scene: scene.after(
            processes=Unmeasured("no list"), health=(scene.health(workers=2),) * 8
        ),
        "config-loaded", Verdict.INCONCLUSIVE, "only 1 of 2 workers were met: no list",
    ),
    "nobody names all workers and all were met": (
        lambda scene: scene.after(processes=Unmeasured("no list")),
        "config-loaded", Verdict.GO, "0 of 1",
    ),
    "no fingerprint": (
        lambda scene: scene.after(
            processes=Unmeasured("x"), health=(scene.health(fingerprint=None),) * 8
        ),
        "config-loaded", Verdict.INCONCLUSIVE, "tells no configuration fingerprint",
    ),
    "one look in eight was not answered": (
        lambda scene: scene.after(health=(*(scene.health(),) * 7, Unmeasured("refused"))),
        "config-loaded", Verdict.INCONCLUSIVE, "only 87.5% of the planned probes",
    ),
    "draining": (
        lambda scene: scene.after(health=(scene.health(status="draining"),) * 8),
        "gateway-healthy", Verdict.NO_GO, "/health says draining",
    ),
    "no provider is named": (
        lambda scene: scene.after(providers=Unmeasured("no providers")),
        "gateway-healthy", Verdict.INCONCLUSIVE, "no providers",
    ),
    "health that does not age": (
        lambda scene: scene.after(health=(scene.health(uptime_s=100),) * 8),
        "evidence-integrity", Verdict.NO_GO, "uptime grew by 0 s in 2.0 s",
    ),
    "counters that fell": (
        lambda scene: scene.read_as(scene.counted("b0", 9, 9), scene.counted("b0", 5, 60)),
        "evidence-integrity", Verdict.NO_GO, "fell from 9 to 5 in the same process",
    ),
    "counters that fell with a new process": (
        lambda scene: scene.read_as(scene.counted("b0", 9, 9), scene.counted("b1", 5, 60)),
        "evidence-integrity", Verdict.INCONCLUSIVE, "with a new process",
    ),
    "counters that fell and nobody names the process": (
        lambda scene: scene.read_as(scene.counted("", 9, 9), scene.counted("", 5, 60)),
        "evidence-integrity", Verdict.INCONCLUSIVE, "the window begins anew",
    ),
    "a reset that was grown over": (
        lambda scene: scene.read_as(scene.counted("b0", 9, 9), scene.counted("b0", 43, 60)),
        "evidence-integrity", Verdict.NO_GO, "grew by 34 while 43 were sent",
    ),
    "statistics that miss a request": (
        lambda scene: scene.read_as(scene.counted("b0", 9, 9), scene.counted("b0", 60, 51)),
        "evidence-integrity", Verdict.NO_GO, "total_requests grew by 42 while 43 were sent",
    ),
    "counters that were read once": (
        lambda scene: scene.read_as(scene.counted("b0", 9, 9)),
        "evidence-integrity", Verdict.INCONCLUSIVE, "read once",
    ),
    "refused credential": (
        lambda scene: replace(
            scene.healthy(), sent=(scene.sent(0, status=401, faults=("401 no",)),)
        ),
        "stream-conformance", Verdict.INCONCLUSIVE, "credential was refused with 401",
    ),
    "answers without an id": (
        lambda scene: replace(
            scene.healthy(), sent=tuple(scene.sent(n, request_id=None) for n in range(STREAMS))
        ),
        "audit-complete", Verdict.INCONCLUSIVE, "43 answers carry no x-gateway-request-id",
    ),
    "no audit": (
        lambda scene: replace(scene.healthy(), records=Unmeasured("no audit")),
        "audit-complete", Verdict.INCONCLUSIVE, "no audit",
    ),
    "one record lost": (
        lambda scene: replace(
            scene.healthy(), records=tuple(scene.record(n) for n in range(STREAMS - 1))
        ),
        "audit-complete", Verdict.NO_GO, "1 not recorded",
    ),
    "one beta lost": (
        lambda scene: replace(
            scene.healthy(), records=(scene.record(0, request_shape={"betas": []}),)
        ),
        "canary-intact", Verdict.NO_GO, "canary 1: betas lost: claude-code-20250219",
    ),
    "nothing could be compared": (
        lambda scene: replace(
            scene.healthy(), records=Unmeasured("x"),
            sent=tuple(replace(scene.sent(n), compared=False) for n in range(STREAMS)),
        ),
        "canary-intact", Verdict.INCONCLUSIVE, "0 of 43 streams could be compared",
    ),
    "a thousand times too much": (
        lambda scene: replace(
            scene.healthy(), records=tuple(scene.record(n, cost_usd=0.2) for n in range(STREAMS))
        ),
        "cost-accuracy", Verdict.NO_GO, "a thousand times too much",
    ),
    "model without a price": (
        lambda scene: replace(
            scene.healthy(),
            records=tuple(scene.record(n, model="unheard-of") for n in range(STREAMS)),
        ),
        "cost-accuracy", Verdict.INCONCLUSIVE, "43 without charge or price",
    ),
}  # fmt: skip


def test_every_criterion_of_every_phase_has_evidence_of_its_own() -> None:
    asked = {name for names in PHASES.values() for name in names} | {EARLIER, OVERRIDES}
    assert sorted(EVIDENCE) == sorted(asked)
    for phase, names in PHASES.items():
        assert [one.id for one in criteria_of(phase, TABLE)] == list(names)
        more = [one.id for one in criteria_of(phase, TABLE, overrides=True)]
        assert more == [*names, *([OVERRIDES] if phase > 1 else [])]


def test_every_criterion_of_the_documents_is_asked_by_a_gate() -> None:
    asked = {one.id for phase in PHASES for one in criteria_of(phase, TABLE, overrides=True)}
    assert set(CRITERIA) <= asked


def test_healthy_measurement_is_go(scene: Scene, order: Order) -> None:
    rows = scene.rows(order, scene.healthy())
    assert {row.ruling.verdict for row in rows.values()} == {Verdict.GO}


@pytest.mark.parametrize("case", CASES)
def test_measurement_is_judged_and_told(scene: Scene, order: Order, case: str) -> None:
    measured, name, verdict, words = CASES[case]
    row = scene.rows(order, measured(scene))[name]
    assert row.ruling.verdict is verdict, row.text
    assert words in row.text


def test_criteria_that_rest_on_unsound_evidence_are_inconclusive(
    scene: Scene, order: Order
) -> None:
    rows = scene.rows(order, CASES["counters that fell"][0](scene))
    assert rows["audit-complete"].ruling.verdict is Verdict.INCONCLUSIVE
    assert "evidence-integrity is NO-GO" in rows["audit-complete"].text


def test_cost_is_not_judged_when_the_configuration_switches_it_off(
    scene: Scene, order: Order
) -> None:
    row = scene.rows(replace(order, prices=None), scene.healthy())["cost-accuracy"]
    assert row.ruling.verdict is Verdict.INCONCLUSIVE
    assert "costTracking.enabled is false" in row.text
