"""The way forwards: every verb is journaled, receipts before changes, evidence handed on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cco_migrate.context import Context
from cco_migrate.engine import Engine
from cco_migrate.errors import RolledBack, ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.runs.journal import Journal, Status

if TYPE_CHECKING:
    from tests.unit.cco_migrate.engine.conftest import Bench


def test_run_journals_every_verb_in_order(bench: Bench) -> None:
    bench.engine().run()
    assert bench.lines() == bench.forwards
    assert bench.config.read_text() == bench.after
    assert bench.engine().state.status is Status.DONE
    assert [verdict for _, verdict in bench.seen.ends] == ["ok", "ok", "GO", "ok", "GO", "ok"]
    assert (bench.path.parent / "report.md").read_text() == "# ok"


def test_receipt_is_on_disk_before_apply_begins(bench: Bench) -> None:
    def look(step: Step, receipt: JsonObject, context: Context) -> None:
        rows = [json.loads(line) for line in bench.path.read_text().splitlines()]
        assert [(row["event"], row["step"]) for row in rows[-2:]] == [
            ("prepared", step.id), ("applying", step.id),
        ]  # fmt: skip
        assert rows[-2]["data"] == receipt

    bench.fake.applying = look
    bench.engine().run()
    assert len(bench.fake.receipts) == 1


def test_run_can_stop_after_one_step_and_go_on(bench: Bench) -> None:
    bench.engine().run(only="enable")
    assert bench.lines() == bench.forwards[:7]
    bench.seen.ends.clear()
    bench.engine().run()
    assert bench.lines() == bench.forwards
    assert bench.seen.ends[:3] == [("backup", "kept"), ("enable", "kept"), ("validate", "GO")]


def test_evidence_of_earlier_steps_reaches_later_ones(bench: Bench) -> None:
    found: list[Mapping[str, JsonObject]] = []

    bench.fake.measuring = lambda context: found.append(context.evidence)
    bench.engine().run()
    assert list(found[0]) == ["backup", "enable", "validate", "serve"]
    assert found[0]["validate"]["verdict"] == "GO"


def test_run_that_never_began_has_no_state(bench: Bench) -> None:
    journal = Journal(bench.path, "mo-1", bench.world)
    engine = Engine(bench.plan, journal, bench.world, bench.seen, dict)
    with pytest.raises(ToolkitError, match="never began"):
        _ = engine.state


def test_edit_of_a_file_that_others_changed_after_prepare_is_refused(bench: Bench) -> None:
    bench.engine().run(only="enable")
    lines = bench.path.read_bytes().splitlines(keepends=True)
    bench.path.write_bytes(b"".join(lines[:6]))  # killed while applying
    bench.config.write_text(bench.before + "# theirs\n")
    with pytest.raises(RolledBack, match="changed by somebody else"):
        bench.engine().run()
    assert bench.config.read_text() == bench.before + "# theirs\n"


def test_backup_never_takes_the_name_of_a_copy_made_by_hand(bench: Bench) -> None:
    by_hand = []
    for second in range(3):
        stamp = bench.world.clock.now().timestamp() + second
        name = type(bench.world.clock.now()).fromtimestamp(stamp, bench.world.clock.now().tzinfo)
        copy = bench.config.with_name(f"{bench.config.name}.backup-{name:%Y%m%d-%H%M%S}")
        copy.write_text("by hand")
        by_hand.append(copy)
    bench.engine().run(only="backup")
    assert [copy.read_text() for copy in by_hand] == ["by hand"] * 3
    assert len(list(bench.config.parent.glob("*.backup-*"))) == 4


def test_instance_of_the_plan_is_what_steps_are_given(bench: Bench) -> None:
    other = replace(bench.plan.instance, name="other")
    bench.plan = replace(bench.plan, instance=other)
    names = []

    def look(step: Step, receipt: JsonObject, context: Context) -> None:
        names.append((context.instance.name, context.run, context.run_dir))

    bench.fake.applying = look
    bench.engine().run()
    assert names == [("other", "mo-1", bench.path.parent)]
