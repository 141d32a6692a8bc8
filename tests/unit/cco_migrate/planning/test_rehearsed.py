"""Before phases 2 and 3: a rehearsal counts, or the cutover is refused unless it is waived."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cco_migrate import config, plan_file
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.model import Basis, Plan
from cco_migrate.planning.outlook import REHEARSED
from cco_migrate.planning.preflight import Mark
from cco_migrate.planning.rehearsed import check_rehearsal, relied_on
from cco_migrate.recovery.record import Origin, Record, path_in, summed, write_record
from cco_migrate.recovery.standing import objection_to
from cco_migrate.recovery.ways import ROUNDS, Taken, Way
from cco_migrate.world import Clock

NOW = datetime(2026, 11, 12, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
OLD = b'{"gatewayEnabled": false, "proxyEnabled": true}'
FILES = dict.fromkeys(ConfigName, None) | {ConfigName.DAEMON: OLD}
MARK, CUT_OVER, OTHER = config.fingerprint(FILES), "1" * 16, "2" * 16


class Still(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture
def context(context_at: Callable[[str], Context]) -> Context:
    found = context_at("http://127.0.0.1:1")
    return replace(found, world=replace(found.world, clock=Still()))


def inputs_of(context: Context, *, demo: bool = False) -> Inputs:
    return Inputs(
        replace(context.instance, demo=demo), FILES, fix=False, replace=True, known_models=(),
        verification=Verification(), cutover=Cutover(phase=2),
    )  # fmt: skip


def made(
    age: timedelta = timedelta(hours=3), rounds: int = ROUNDS, faults: tuple[str, ...] = ()
) -> Record:
    taken = (Taken(Way.FLAG, 2.0), Taken(Way.BACKUP, 3.0)) * rounds
    return summed(Origin(NOW - age, "0.1.0", MARK, CUT_OVER), rounds, taken, faults)


@pytest.mark.parametrize(
    ("record", "fingerprint", "said"),
    [
        (made(), MARK, ""),
        (made(), CUT_OVER, ""),  # phase 3 finds the files as phase 2 has left them
        (made(timedelta()), MARK, ""),
        (made(WEEK), MARK, ""),  # to the second
        (made(WEEK + timedelta(seconds=1)), MARK, "is 7d1s old, at most 7d are allowed"),
        (made(timedelta(days=30)), MARK, "is 30d old, at most 7d are allowed"),
        (made(-timedelta(seconds=1)), MARK, "is the clock right?"),
        (made(), OTHER, f"with other files, {MARK}; the files are {OTHER} now"),
        (made(rounds=ROUNDS - 1), MARK, "9 of 10 rounds"),
        (made(faults=("round 2, back by flag: it burnt",)), MARK, "was NO-GO: round 2"),
        (made(WEEK * 9, faults=("it burnt",)), OTHER, "it burnt"),  # the worst is said first
    ],
)
def test_rehearsal_counts_when_it_was_go_of_late_on_these_files(
    record: Record, fingerprint: str, said: str
) -> None:
    found = objection_to(record, fingerprint, NOW, WEEK)
    assert (said in found, bool(found)) == (True, bool(said))


def test_rehearsal_that_counts_is_told_with_its_figures(context: Context) -> None:
    write_record(made(), context.instance.migrate_dir, context.world.files)
    (line,) = check_rehearsal(inputs_of(context), context, frozenset())
    assert line.mark is Mark.OK
    assert "rehearsed 3h ago: by flag 2.0 s (p95 of 10), by backup 3.0 s" in line.text


def test_rehearsal_that_counts_is_kept_with_the_plan_as_it_was_recorded(context: Context) -> None:
    assert relied_on(inputs_of(context), context) is None
    path = write_record(made(), context.instance.migrate_dir, context.world.files)
    assert relied_on(inputs_of(context), context) == json.loads(path.read_bytes())
    basis = Basis(
        NOW.isoformat(), "0.1.0", {}, (), rehearsal=relied_on(inputs_of(context), context)
    )
    plan = Plan("gateway-cutover", context.instance, (), (), (), MARK, CUT_OVER, basis=basis)
    again = plan_file.decode(plan_file.encode(plan), path)
    assert again.basis == basis
    assert again.digest == plan.digest
    write_record(made(WEEK * 2), context.instance.migrate_dir, context.world.files)
    assert relied_on(inputs_of(context), context) is None


def test_cutover_without_a_rehearsal_is_refused_with_the_command(context: Context) -> None:
    (line,) = check_rehearsal(inputs_of(context), context, frozenset())
    assert (line.mark, line.code, line.next_command) == (Mark.FAIL, 8, "invoke rollback.rehearse")
    assert "never rehearsed" in line.text


def test_missing_rehearsal_is_waived_by_name(context: Context) -> None:
    (line,) = check_rehearsal(inputs_of(context), context, frozenset({REHEARSED}))
    assert (line.mark, "waived by --waive rollback-rehearsed" in line.text) == (Mark.WARN, True)


def test_demo_goes_on_without_a_rehearsal(context: Context) -> None:
    (line,) = check_rehearsal(inputs_of(context, demo=True), context, frozenset())
    assert line.mark is Mark.NOT_APPLICABLE


def test_damaged_record_is_refused(context: Context) -> None:
    path = path_in(context.instance.migrate_dir)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{")
    (line,) = check_rehearsal(inputs_of(context), context, frozenset())
    assert (line.mark, "rehearsal.json" in line.text) == (Mark.FAIL, True)


@pytest.mark.parametrize(
    ("setting", "mark"),
    [
        ("", Mark.OK),
        ('[rehearsal]\nmax_age = "4h"\n', Mark.OK),
        ('[rehearsal]\nmax_age = "2h"\n', Mark.FAIL),
        ('[rehearsal]\nmax_age = "soon"\n', Mark.FAIL),
        ("[rehearsal]\nmax_days = 2\n", Mark.FAIL),
    ],
)
def test_age_that_is_allowed_stands_in_migrate_toml(
    context: Context, setting: str, mark: Mark
) -> None:
    write_record(made(), context.instance.migrate_dir, context.world.files)
    path = context.instance.home / "config" / "migrate.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(setting)
    (line,) = check_rehearsal(inputs_of(context), context, frozenset())
    assert line.mark is mark, line.text
