"""The gate's question for the rollback: answered by the rehearsal's record, else by a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.gates.measuring import measure
from cco_migrate.gates.order import Order
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.probes.site import Site
from cco_migrate.recovery.record import Lost, Origin, Record, Streams, write_record
from cco_migrate.recovery.ways import PROMISE_S, ROUNDS, Timing, Way
from cco_migrate.verdict import Verdict
from cco_migrate.world import Files, World

Scene = Any  # Any: the fixture of conftest.py, which cannot be imported
REHEARSED = "rollback-rehearsed"


def record(scene: Scene, *, days: float = 1, files: str = "", **change: Any) -> Record:
    """A rehearsal of so many days ago, in which every way took four seconds each time."""
    loaded: str = files or scene.options.fingerprint
    times = Timing(Way.FLAG, PROMISE_S[Way.FLAG], (4.0,) * ROUNDS, (None,) * ROUNDS)
    at = scene.now - timedelta(days=days)
    made = Record(
        Origin(at, "0.1.0", loaded, loaded), ROUNDS, (times,), Lost(9, 0, 5, 0), Streams(20, 0), ()
    )
    return replace(made, **change)


def asked(scene: Scene, found: Record | Unmeasured, *, approved: bool) -> Any:
    """What the gate of phase 2 says of the rehearsal."""
    order: Order = scene.order(phase=2)
    order = order if approved else replace(order, approvals=None)
    return scene.rows(order, replace(scene.healthy(), rehearsal=found))[REHEARSED]


# What the record says beside that of a good rehearsal, with the verdict when nobody approved and
# when somebody did.
CASES: Mapping[str, tuple[dict[str, Any], Verdict, Verdict, str]] = {
    "good": ({}, Verdict.GO, Verdict.GO, "by flag 4.0 s (p95 of 10)"),
    "failed": (
        {"faults": ("2 files are not as before",)}, Verdict.NO_GO, Verdict.NO_GO,
        "the last rehearsal was NO-GO: 2 files are not as before",
    ),
    "too few rounds": ({"rounds": 3}, Verdict.INCONCLUSIVE, Verdict.GO, "had 3 of 10 rounds"),
    "other files": (
        {"files": "0123456789abcdef"}, Verdict.INCONCLUSIVE, Verdict.GO, "with other files",
    ),
    "too old": ({"days": 8}, Verdict.INCONCLUSIVE, Verdict.GO, "at most 7d are allowed"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_record_that_counts_decides_and_a_person_where_none_does(scene: Scene, case: str) -> None:
    change, alone, approved, said = CASES[case]
    found = record(scene, **change)
    for word, verdict in ((False, alone), (True, approved)):
        row = asked(scene, found, approved=word)
        assert row.ruling.verdict is verdict, row.text
        assert said in row.text


def test_failure_of_long_ago_leaves_it_to_a_person(scene: Scene) -> None:
    found = record(scene, days=8, faults=("lost",))
    assert asked(scene, found, approved=False).ruling.verdict is Verdict.INCONCLUSIVE
    assert asked(scene, found, approved=True).ruling.verdict is Verdict.GO


def test_deployment_without_a_record_is_left_to_a_person(scene: Scene) -> None:
    none = Unmeasured("never rehearsed on this machine: invoke rollback.rehearse")
    assert asked(scene, none, approved=False).ruling.verdict is Verdict.INCONCLUSIVE
    row = asked(scene, none, approved=True)
    assert row.ruling.verdict is Verdict.GO
    assert "invoke rollback.rehearse" in row.text


def test_record_is_read_from_the_state_root(
    scene: Scene, hurried: World, tmp_path: Path, closed_port: int
) -> None:
    def read(home: Path | None) -> Record | Unmeasured:
        order = replace(scene.order(url=f"http://127.0.0.1:{closed_port}", streams=0), home=home)
        measured = measure(order, Site(order.url, hurried), lambda _what, _timeout_s: None)
        return measured.rehearsal

    migrate = tmp_path / "migrate"
    assert read(None) == Unmeasured(
        "the state root is not known: give --home to read its rehearsal"
    )
    assert read(tmp_path) == Unmeasured("never rehearsed on this machine: invoke rollback.rehearse")
    made = record(scene)
    path = write_record(made, migrate, Files())
    assert read(tmp_path) == made
    path.write_text("{}")
    assert isinstance(found := read(tmp_path), Unmeasured)
    assert "rehearsal.json: at: is missing" in found.why
