"""The hard cutover looks for the soft one: by the switches, and by a run that stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.gateway_cutover import plan
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.planning.cutover_kind import ask, restored
from cco_migrate.planning.preflight import Mark
from cco_migrate.planning.removal_preflight import check_soft_cutover
from cco_migrate.removal.manifest import read_manifest
from cco_migrate.removal.planning import Removing
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import RunStore
from cco_migrate.session import MigrateOptions
from cco_migrate.world import Files

DATA = Path(__file__).parents[3] / "data" / "removal"
NEW = b'{"gatewayEnabled": true, "proxyEnabled": false}'
STANDBY = b'{"gatewayEnabled": true, "proxyEnabled": true}'
EDITED = b'{"gatewayEnabled": true, "proxyEnabled": false, "logLevel": "info"}'


@pytest.fixture
def context(context_at: Callable[[str], Context]) -> Context:
    return context_at("http://127.0.0.1:3000")


def inputs_of(context: Context, phase: int, data: bytes | None = NEW) -> Inputs:
    manifest = read_manifest(DATA / "removal.toml", Files())
    removing = Removing(context.instance, Path("/srv/daemon"), "c0ffee", manifest)
    files = dict.fromkeys(ConfigName, None) | {ConfigName.DAEMON: data}
    return Inputs(
        context.instance, files, fix=False, replace=True, known_models=(),
        verification=Verification(), cutover=Cutover(phase=phase, removing=removing),
    )  # fmt: skip


DONE, BACK = Event.FINISHED, Event.ROLLED_BACK


@pytest.mark.parametrize(
    ("runs", "data", "mark", "said"),
    [
        ([(2, DONE)], NEW, Mark.OK, "and stands"),
        ([(2, BACK), (2, DONE)], NEW, Mark.OK, "and stands"),
        ([(2, DONE), (3, BACK)], NEW, Mark.OK, "and stands"),
        ([(2, DONE)], EDITED, Mark.WARN, "the files were edited since and give"),
        ([(2, DONE)], STANDBY, Mark.FAIL, "gatewayEnabled true, proxyEnabled true: the old proxy"),
        ([(2, DONE), (2, BACK)], NEW, Mark.FAIL, "the newest of phase 2, is rolled-back"),
        ([(2, Event.ROLLBACK_FAILED)], NEW, Mark.FAIL, "is rollback-failed, not done"),
        ([(1, DONE)], NEW, Mark.FAIL, "no run of phase 2 under"),
        ([], None, Mark.FAIL, "no run of phase 2 under"),
    ],
)
def test_soft_cutover_has_to_stand(
    context: Context,
    runs: Sequence[tuple[int, Event]],
    data: bytes | None,
    mark: Mark,
    said: str,
) -> None:
    store = RunStore(context.instance.migrate_dir, context.world)
    for phase, event in runs:
        store.create(plan(inputs_of(context, phase))).journal.append(event, reason="for the test")
    inputs = inputs_of(context, 3, data)
    (line,) = check_soft_cutover(plan(inputs), inputs, context)
    assert (line.mark, said in line.text) == (mark, True), line.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (MigrateOptions(phase=1, manifest="m"), "--manifest: has no meaning in phase 1"),
        (MigrateOptions(phase=2, repository="r"), "--repository: has no meaning in phase 2"),
        (MigrateOptions(phase=3, standby=True), "--standby: has no meaning in phase 3"),
        (MigrateOptions(phase=3, baseline="b"), "--baseline: has no meaning in phase 3"),
        (MigrateOptions(phase=3, manifest="/nowhere/removal.toml"), "No such file"),
    ],
)
def test_options_of_another_phase_are_refused(
    context: Context, options: MigrateOptions, said: str
) -> None:
    store = RunStore(context.instance.migrate_dir, context.world)
    with pytest.raises(InvalidInput, match=said):
        ask(inputs_of(context, options.phase), options, context, store)


def test_way_back_of_the_removal_says_what_stays(context: Context) -> None:
    made = plan(inputs_of(context, 3))
    said = restored(made)
    assert said.startswith("the branch of the removal is gone; its tag and its bundle stay")
    assert "not fetched" in said
