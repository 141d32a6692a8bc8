"""A run on disk whose every verdict, the soak's included, can be judged again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cco_migrate.commands import reporting
from cco_migrate.criteria import CRITERIA
from cco_migrate.judge.integrity import Invariant
from cco_migrate.model import Instance, JsonObject, OnNoGo, Plan, Step
from cco_migrate.progress import Output
from cco_migrate.report.recomputation import JUDGES
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import Run
from cco_migrate.session import Session
from cco_migrate.soak.log import Closed, SoakLog, Window
from cco_migrate.soak.looks import Look, Tally
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.soak.terms import Offer, Waiver, make_soak
from cco_migrate.target import Target
from cco_migrate.verdict import Verdict
from cco_migrate.world import Files, World

BEGUN = datetime.fromisoformat("2026-11-21T14:00:00+00:00")
WAIVERS = (Waiver("error-rate", "ops@host", "no traffic | at night"),)
TERMS = make_soak(60.0, 1.0, OnNoGo.ROLLBACK.value, CRITERIA, WAIVERS, Offer())
STEPS = (
    Step(1, "backup", "back up", "files.backup"),
    Step(9, "traffic", "traffic", "traffic.flows", {"mode": "send", "log_overrides": False}),
    Step(10, "counts", "statistics", "statistics.agree"),
    Step(11, "cost", "cost", "cost.fell"),
    Step(12, "soak", "soak", SOAK, TERMS.to_json()),
)
FACTS: dict[str, JsonObject] = {
    "traffic": {"sent": 24, "streamed": 12, "faults": [], "log_lines": None, "log_errors": None,
                "expected_overrides": 20},
    "counts": {"expected": 20, "counted": 20, "sent_ids": 24, "audited_ids": 24,
               "audited_overrides": 20, "unmatched": 4},
    "cost": {"method": "audit", "overridden": 20, "wrong": 0, "unpriced": [], "billed_usd": "0.07",
             "computed_usd": "0.07", "before_usd": "0.21", "prices_as_of": "2026-11-02"},
}  # fmt: skip


@pytest.fixture
def session(tmp_path: Path, world: World) -> Session:
    return Session(Target(home=str(tmp_path / "home")), Output(quiet=True, program="run"), world)


@pytest.fixture
def new_run(session: Session, instance_at: Callable[[str], Instance]) -> Run:
    """A run that has only begun."""
    plan = Plan("model-overrides", instance_at("http://127.0.0.1:1"), STEPS, (), (), "f0", "f1")
    return session.store.create(plan)


@pytest.fixture
def run(session: Session, new_run: Run) -> Run:
    """A run that was judged, soaked and reported."""
    run = new_run
    for name, known in FACTS.items():
        judged(run, name, known)
    judged(run, "soak", soaked(run.directory))
    run.journal.append(Event.FINISHED, reason="GO")
    reporting.write_report(session, run)
    return run


@pytest.fixture
def facts() -> dict[str, JsonObject]:
    """What each check saw, by step."""
    return dict(FACTS)


@pytest.fixture
def tell() -> Callable[..., None]:
    """Write a verdict into a journal: `tell(run, step, evidence, said)`."""
    return told


@pytest.fixture
def soak() -> Callable[[Path], JsonObject]:
    """Write the samples of a soak into a folder and return what is journaled of them."""
    return soaked


def judged(run: Run, name: str, facts: JsonObject) -> None:
    judgement = JUDGES[run.plan.step(name).uses].judge(run.plan.step(name), facts)
    told(run, name, {**judgement.facts, "verdict": judgement.verdict.value}, judgement.summary)


def told(run: Run, name: str, evidence: JsonObject, said: str = "as measured") -> None:
    run.journal.append(Event.JUDGED, name, reason=said, data={"evidence": evidence, "seconds": 1})


def soaked(folder: Path) -> JsonObject:
    log, window = SoakLog(folder, Files()), Window(1, BEGUN, BEGUN + timedelta(seconds=60))
    log.begin(window)
    for second in range(0, 61, 20):
        tallies = {"error-rate": Tally(0, 50), "streaming-failures": Tally(1, 50)}
        checked = Invariant(1, ())
        log.look(Look(BEGUN + timedelta(seconds=second), up=True, tallies=tallies,
                      loaded=checked, integrity=checked))  # fmt: skip
    log.close(Closed(window.deadline_at, Verdict.INCONCLUSIVE))
    assert log.evidence is not None
    return {
        "window": window.to_json(),
        "looks": log.evidence.looks,
        "statistics": log.evidence.statistics(TERMS, window.deadline_at),
        "samples": {"file": log.path.name, "head": log.head},
    }
