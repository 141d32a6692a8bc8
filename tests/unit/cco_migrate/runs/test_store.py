"""Runs: what was created is found again, and a changed plan or journal is not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from cco_migrate.errors import Damaged, InvalidInput, ToolkitError
from cco_migrate.model import Instance, Plan, Step
from cco_migrate.runs.journal import Event, Status
from cco_migrate.runs.store import PREFIX, Run, RunStore
from cco_migrate.world import Clock, World


@pytest.fixture
def store(tmp_path: Path, world: World) -> RunStore:
    return RunStore(tmp_path / "migrate", world)


@pytest.fixture
def plan(instance_at: Callable[[str], Instance]) -> Plan:
    steps = (Step(2, "exists", "exists", "config.exists", {"path": "/a"}),)
    return Plan("model-overrides", instance_at("http://127.0.0.1:3000"), steps, (), (), "f0", "f1")


def test_created_run_is_found_by_its_id(store: RunStore, plan: Plan) -> None:
    run = store.create(plan)
    again = store.load(run.id)
    assert (again.id, again.plan, again.directory) == (run.id, plan, run.directory)
    assert again.state == run.state
    assert again.state.status is Status.OPEN
    assert run.id.startswith("mo-")


def test_plan_and_journal_are_private(store: RunStore, plan: Plan) -> None:
    directory = store.create(plan).directory
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == {
        "plan.json": 0o600, "journal.jsonl": 0o600,
    }  # fmt: skip


def test_every_migration_has_a_prefix_of_its_own() -> None:
    assert len(set(PREFIX.values())) == len(PREFIX)


def test_unknown_run_is_refused_with_the_known_ones(store: RunStore, plan: Plan) -> None:
    with pytest.raises(InvalidInput, match=r"no run mo-0 under .*; there is: none"):
        store.load("mo-0")
    run = store.create(plan)
    with pytest.raises(InvalidInput, match=f"there is: {run.id}"):
        store.load("mo-0")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "not json"])
def test_damaged_plan_is_named(store: RunStore, plan: Plan, text: str) -> None:
    run = store.create(plan)
    (run.directory / "plan.json").write_text(text)
    with pytest.raises(Damaged, match="not a readable plan") as raised:
        store.load(run.id)
    assert raised.value.state
    assert "invoke backup.restore" in str(raised.value.next_command)


def test_plan_that_was_changed_since_the_run_began_is_refused(store: RunStore, plan: Plan) -> None:
    run = store.create(plan)
    path = run.directory / "plan.json"
    row = json.loads(path.read_text())
    row["steps"][0]["params"]["path"] = "/etc/passwd"
    path.write_text(json.dumps(row))
    with pytest.raises(Damaged, match=r"plan\.json: .* not the plan this run began with"):
        store.load(run.id)


def test_run_that_never_began_is_not_listed(store: RunStore, plan: Plan) -> None:
    run = store.create(plan)
    (run.directory / "journal.jsonl").unlink()
    assert store.all() == ()
    assert store.latest() is None
    with pytest.raises(ToolkitError, match="is empty"):
        _ = store.load(run.id).state


@pytest.mark.parametrize("damage", ["journal gone", "journal empty", "journal torn", "plan gone"])
def test_run_that_began_is_neither_overlooked_nor_swept_away(
    store: RunStore, plan: Plan, damage: str
) -> None:
    directory = end(store.create(plan), Event.FINISHED).directory
    (directory / "report.md").write_text("GO")
    name, _, how = damage.partition(" ")
    path = directory / {"journal": "journal.jsonl", "plan": "plan.json"}[name]
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if how == "empty" else 40])
    store.sweep()
    assert (directory / "report.md").exists()
    with pytest.raises(Damaged, match=str(path)) as raised:
        store.latest()
    assert "can no longer be proved" in raised.value.state
    assert f"move {directory} elsewhere" in str(raised.value.next_command)
    assert [str(one) for one in store.open_or_damaged()[1]] == [str(raised.value)]


def end(run: Run, *events: Event) -> Run:
    for event in events:
        run.journal.append(event)
    return run


def test_latest_is_the_newest(store: RunStore, plan: Plan) -> None:
    assert store.latest() is None
    runs = [end(store.create(plan), Event.FINISHED) for _ in range(3)]
    begun = sorted(runs, key=lambda run: run.state.started_at)
    latest = store.latest()
    assert latest is not None
    assert latest.state.started_at == begun[-1].state.started_at
    assert len(store.all()) == 3


def test_latest_is_the_newest_though_the_clock_stepped_back(
    tmp_path: Path, world: World, plan: Plan
) -> None:
    class Back(Clock):
        def __init__(self) -> None:
            self.day = 28

        def now(self) -> datetime:
            self.day -= 1
            return datetime(2026, 1, self.day, tzinfo=UTC)

    store = RunStore(tmp_path / "migrate", replace(world, clock=Back()))
    runs = [end(store.create(plan), Event.FINISHED) for _ in range(5)]
    assert [run.id for run in store.all()] == [run.id for run in runs]


def test_sweep_clears_away_what_killed_processes_left(store: RunStore, plan: Plan) -> None:
    store.sweep()
    first = store.create(plan)
    (first.directory / f".report.md.{2**22 + 1}.new").write_text("half")
    (store.root / "mo-dead").mkdir()
    (store.root / "mo-dead" / f".plan.json.{2**22 + 1}.new").write_text("{")
    store.sweep()
    assert {path.name for path in store.root.iterdir()} == {first.id}
    assert {path.name for path in first.directory.iterdir()} == {"plan.json", "journal.jsonl"}


@pytest.mark.parametrize(
    ("events", "unfinished"),
    [
        ((), True),
        ((Event.ROLLING_BACK,), True),
        ((Event.ROLLING_BACK, Event.ROLLBACK_FAILED), True),
        ((Event.ROLLING_BACK, Event.ROLLED_BACK), False),
        ((Event.FINISHED,), False),
    ],
)
def test_unfinished_is_what_neither_ended_nor_went_back(
    store: RunStore, plan: Plan, events: tuple[Event, ...], unfinished: bool
) -> None:
    run = end(store.create(plan), *events)
    found = store.unfinished()
    assert (found.id if found else None) == (run.id if unfinished else None)


def test_plan_file_holds_the_bytes_its_digest_is_of(store: RunStore, plan: Plan) -> None:
    data = (store.create(plan).directory / "plan.json").read_bytes()
    assert sha256(data.removesuffix(b"\n")).hexdigest().startswith(plan.digest)
