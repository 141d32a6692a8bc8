"""A person's word without --out: gates read it, and an open run journals it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from cco_migrate.commands import approving
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.approvals import ATTESTED, COUNTED, read_approvals
from cco_migrate.model import Instance, Plan, Step
from cco_migrate.progress import Output
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import Run
from cco_migrate.session import Result, Session
from cco_migrate.target import Target
from cco_migrate.world import World

SCOPE = "phase-2:c7d2c7d2c7d2c7d2"


@pytest.fixture
def session(tmp_path: Path, world: World) -> Session:
    return Session(Target(home=str(tmp_path / "home")), Output(quiet=True), world)


def approve(session: Session, **change: str) -> Result:
    typed = {"gate": "team-approval", "by_": "Kim", "scope": SCOPE, "expires": "24h"}
    typed |= {"count": "", "of": "", "out": ""}
    return approving.approve(session, Namespace(**{**typed, **change}))


def store(session: Session) -> Path:
    return session.home / "migrate" / "approvals.jsonl"


@pytest.mark.parametrize("name", ATTESTED)
def test_word_about_any_criterion_is_read_by_gates_of_the_state_root(
    session: Session, name: str
) -> None:
    figures = {"count": "1", "of": "40"} if name in COUNTED else {}
    said = approve(session, gate=name, **figures)
    assert "gates here read it in " in said.text
    words = read_approvals(store(session).read_bytes(), store(session))
    assert [one.by for one in words[name]] == ["Kim"]


@pytest.fixture
def run(session: Session, instance_at: Callable[[str], Instance]) -> Run:
    steps = (Step(2, "exists", "configuration exists", "config.exists", {"path": "/a"}),)
    plan = Plan("model-overrides", instance_at("http://127.0.0.1:1"), steps, (), (), "f0", "f1")
    return session.store.create(plan)


def journaled(run: Run) -> list[str]:
    run.journal.reload()
    return [word.gate for word in run.state.approvals]


def test_open_run_journals_the_word_that_gates_read(session: Session, run: Run) -> None:
    said = approve(session)
    assert f"; run {run.id}: team-approval approved by Kim" in said.text
    assert journaled(run) == ["team-approval"]
    assert read_approvals(store(session).read_bytes(), store(session))["team-approval"]


def test_word_of_another_scope_or_about_a_step_is_journaled_alone(
    session: Session, run: Run
) -> None:
    approve(session, scope="change 4711")
    approve(session, gate="exists")
    assert journaled(run) == ["team-approval", "exists"]
    assert not store(session).exists()


def test_word_for_a_file_leaves_the_run_alone(session: Session, run: Run, tmp_path: Path) -> None:
    approve(session, out=str(tmp_path / "mine.jsonl"))
    assert journaled(run) == []
    assert not store(session).exists()
    assert (tmp_path / "mine.jsonl").exists()


def test_run_that_has_ended_is_not_added_to(session: Session, run: Run) -> None:
    run.journal.append(Event.FINISHED)
    approve(session)
    assert journaled(run) == []
    assert store(session).exists()


def test_word_without_a_run_or_a_gate_that_asks_is_refused(session: Session) -> None:
    with pytest.raises(InvalidInput, match="there is no run"):
        approve(session, scope="change 4711")
    assert not store(session).exists()
