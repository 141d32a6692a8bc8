"""The engine: receipt before change, every line resumable, and back when a check says no."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cco_migrate.checks import CHECKS
from cco_migrate.context import Context, Outcome
from cco_migrate.control import Control, Wish
from cco_migrate.engine import Engine
from cco_migrate.errors import (
    Aborted,
    CheckFailed,
    Held,
    Interrupted,
    LockLost,
    NotJournaled,
    RollbackFailed,
    RolledBack,
    ToolkitError,
    Undecided,
)
from cco_migrate.journal import Event, Journal, Status
from cco_migrate.model import Instance, JsonObject, Plan, Step
from cco_migrate.steps import ACTIONS
from cco_migrate.verdict import Judgement, Verdict
from cco_migrate.world import Files, World

BEFORE = """\
# house rules
[overrides]
enabled = false  # step 4
rules = [["claude-sonnet-4-5", "claude-haiku-4-5"]]

[analytics]
log_overrides = true
"""
AFTER = BEFORE.replace("false", "true")
LATER_STEPS = ("serve", "probe")


@dataclass
class Fake:
    """A gateway that does not exist: one action and one check, told by the test what to say."""

    config: Path
    loaded: str = BEFORE
    verdict: Verdict = Verdict.GO
    back: Verdict = Verdict.GO
    fails: BaseException | None = None
    receipts: list[JsonObject] = field(default_factory=list)

    def prepare(self, step: Step, context: Context) -> JsonObject:
        return {"loaded": self.loaded}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        self.receipts.append(receipt)
        if self.fails is not None and step.number:
            raise self.fails
        self.loaded = self.config.read_text()
        return Outcome("loaded", {"bytes": len(self.loaded)})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        return ""

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        return {"same": self.loaded == self.config.read_text(), "way_back": step.number == 0}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        verdict = self.back if facts["way_back"] else self.verdict
        return Judgement(step.id, verdict, f"judged {verdict}", dict(facts))


@dataclass
class Seen:
    """What a person would have seen."""

    ends: list[tuple[str, str]] = field(default_factory=list)

    def step_begins(self, step: Step) -> None:
        """Nothing."""

    def waiting(self, what: str, timeout_s: float) -> None:
        """Nothing."""

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        self.ends.append((step.id, verdict))


@dataclass
class Bench:
    """A run with real files: backup, edit and validation are the product's own."""

    plan: Plan
    path: Path
    world: World
    fake: Fake
    seen: Seen

    @property
    def config(self) -> Path:
        return self.plan.instance.config

    def engine(self) -> Engine:
        journal = Journal(self.path, "mo-1", self.world)
        if not journal.entries:
            journal.append(Event.PLANNED, reason=self.plan.digest)
        return Engine(self.plan, journal, self.world, self.seen, lambda: {"report.md": "# ok"})

    def lines(self) -> list[str]:
        rows = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [f"{row['event']} {row['step']}".strip() for row in rows]


@pytest.fixture
def fake(
    instance_at: Callable[[str], Instance], closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> Fake:
    made = Fake(instance_at(f"http://127.0.0.1:{closed_port}").config)
    monkeypatch.setitem(ACTIONS, "service.fake", made)
    monkeypatch.setitem(CHECKS, "fake.check", made)
    return made


@pytest.fixture
def bench(
    tmp_path: Path,
    world: World,
    instance_at: Callable[[str], Instance],
    closed_port: int,
    fake: Fake,
) -> Bench:
    instance = instance_at(f"http://127.0.0.1:{closed_port}")
    path = str(instance.config)
    instance.config.write_text(BEFORE)
    change = {"op": "set", "key": ["overrides", "enabled"], "value": True}
    steps = (
        Step(1, "backup", "back up", "files.backup", {"files": [path], "siblings": [path]}),
        Step(4, "enable", "enable", "files.edit", {"path": path, "edits": [change]}),
        Step(5, "validate", "validate", "config.valid", {"path": path}),
        Step(7, "serve", "serve", "service.fake"),
        Step(8, "probe", "probe", "fake.check"),
        Step(12, "report", "report", "report.write"),
    )
    back = (
        Step(0, "back-serve", "serve", "service.fake"),
        Step(0, "back-probe", "probe", "fake.check"),
    )
    plan = Plan("model-overrides", instance, steps, back, (), "f0", "f1")
    (tmp_path / "run").mkdir()
    return Bench(plan, tmp_path / "run" / "journal.jsonl", world, fake, Seen())


def acted(step: str) -> list[str]:
    return [f"prepared {step}", f"applying {step}", f"applied {step}"]


def judged(step: str) -> list[str]:
    return [f"prepared {step}", f"judged {step}"]


FORWARDS = [
    "planned", *acted("backup"), *acted("enable"), *judged("validate"), *acted("serve"),
    *judged("probe"), *acted("report"), "finished",
]  # fmt: skip
UNDONE = [
    "undoing serve", "undone serve", "undoing enable", "undone enable", "undoing backup",
    "undone backup",
]  # fmt: skip
BACK = [*acted("back-serve"), *judged("back-probe"), "rolled-back"]


def test_run_journals_every_verb_in_order(bench: Bench) -> None:
    bench.engine().run()
    assert bench.lines() == FORWARDS
    assert bench.config.read_text() == AFTER
    assert bench.engine().state.status is Status.DONE
    assert [verdict for _, verdict in bench.seen.ends] == ["ok", "ok", "GO", "ok", "GO", "ok"]
    assert (bench.path.parent / "report.md").read_text() == "# ok"


def test_receipt_is_on_disk_before_apply_begins(bench: Bench) -> None:
    class Looking(Fake):
        def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
            rows = [json.loads(line) for line in bench.path.read_text().splitlines()]
            assert [(row["event"], row["step"]) for row in rows[-2:]] == [
                ("prepared", step.id), ("applying", step.id),
            ]  # fmt: skip
            assert rows[-2]["data"] == receipt
            self.receipts.append(receipt)
            return Outcome("", {})

    looking = Looking(bench.config)
    ACTIONS["service.fake"] = looking  # the fixture puts the old one back
    bench.engine().run()
    assert len(looking.receipts) == 1


def test_run_can_stop_after_one_step_and_go_on(bench: Bench) -> None:
    bench.engine().run(only="enable")
    assert bench.lines() == FORWARDS[:7]
    bench.seen.ends.clear()
    bench.engine().run()
    assert bench.lines() == FORWARDS
    assert bench.seen.ends[:3] == [("backup", "kept"), ("enable", "kept"), ("validate", "GO")]


@pytest.mark.parametrize("count", range(1, len(FORWARDS)))
@pytest.mark.parametrize("torn", [b"", b'{"v":1,"seq"'], ids=["cut", "torn"])
def test_run_resumes_after_a_cut_at_every_line(bench: Bench, count: int, torn: bytes) -> None:
    bench.engine().run()
    lines = bench.path.read_bytes().splitlines(keepends=True)
    bench.path.write_bytes(b"".join(lines[:count]) + torn)
    if count <= FORWARDS.index("applying enable"):
        bench.config.write_text(BEFORE)  # the cut came before the change
    bench.engine().run()
    assert bench.lines()[-1] == "finished"
    assert bench.config.read_text() == AFTER
    backups = sorted(bench.config.parent.glob("*.backup-*"))
    assert {path.read_text() for path in backups} <= {BEFORE, AFTER}
    assert backups[0].read_text() == BEFORE


@pytest.mark.parametrize("count", range(1, len(FORWARDS)))
def test_run_killed_at_any_line_can_be_rolled_back(bench: Bench, count: int) -> None:
    bench.engine().run()
    lines = bench.path.read_bytes().splitlines(keepends=True)
    bench.path.write_bytes(b"".join(lines[:count]))
    if count <= FORWARDS.index("applying enable"):
        bench.config.write_text(BEFORE)
    bench.engine().roll_back(why="asked for")
    assert bench.config.read_text() == bench.fake.loaded == BEFORE
    assert bench.engine().state.status is Status.ROLLED_BACK


def test_no_go_undoes_byte_for_byte_and_raises_rolled_back(bench: Bench) -> None:
    bench.fake.verdict = Verdict.NO_GO
    with pytest.raises(RolledBack, match="probe: judged NO-GO") as raised:
        bench.engine().run()
    assert isinstance(raised.value.__cause__, CheckFailed)
    assert raised.value.code == 6
    assert bench.config.read_text() == bench.fake.loaded == BEFORE
    until = FORWARDS.index("judged probe") + 1
    assert bench.lines() == [*FORWARDS[:until], "failed probe", "rolling-back", *UNDONE, *BACK]
    assert ("probe", "NO-GO") in bench.seen.ends
    assert bench.engine().state.status is Status.ROLLED_BACK


@pytest.mark.parametrize("error", [ToolkitError("it died"), OSError(28, "No space left")])
def test_step_that_fails_is_rolled_back(bench: Bench, error: Exception) -> None:
    bench.fake.fails = error
    with pytest.raises(RolledBack, match=r"it died|No space left"):
        bench.engine().run()
    assert bench.config.read_text() == BEFORE
    assert ("serve", "failed") in bench.seen.ends
    assert "failed serve" in bench.lines()


def test_failure_before_anything_changed_is_raised_as_it_is(bench: Bench) -> None:
    bench.config.unlink()
    with pytest.raises(ToolkitError, match="No such file") as raised:
        bench.engine().run()
    assert not isinstance(raised.value, RolledBack)
    assert bench.lines()[-2:] == ["failed enable", "rolled-back"]
    assert "undoing backup" not in bench.lines()


def test_invalid_result_of_an_edit_is_rolled_back(bench: Bench) -> None:
    bench.config.write_text(BEFORE.replace("log_overrides", "log_overides"))
    with pytest.raises(RolledBack, match="log_overrides"):
        bench.engine().run()
    assert bench.config.read_text() == BEFORE.replace("log_overrides", "log_overides")


def test_kill_is_no_failed_step(bench: Bench) -> None:
    bench.fake.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.engine().run()
    assert bench.lines()[-1] == "applying serve"
    assert bench.config.read_text() == AFTER
    bench.fake.fails = None
    bench.engine().run()
    assert bench.lines()[-1] == "finished"
    assert len(bench.fake.receipts) == 2
    assert bench.fake.receipts[0] == bench.fake.receipts[1]


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.HOLD])
def test_undecided_leaves_the_run_open_and_looks_again(bench: Bench, verdict: Verdict) -> None:
    bench.fake.verdict = verdict
    for _ in range(2):
        with pytest.raises(Undecided, match=f"probe: judged {verdict}") as raised:
            bench.engine().run()
    assert raised.value.next_command == "invoke migrate"
    assert bench.engine().state.status is Status.OPEN
    assert bench.config.read_text() == AFTER
    bench.fake.verdict = Verdict.GO
    bench.engine().run()
    assert bench.engine().state.status is Status.DONE
    assert len(bench.fake.receipts) == 1  # the service was not touched again


def test_undecided_then_no_go_is_rolled_back(bench: Bench) -> None:
    bench.fake.verdict = Verdict.INCONCLUSIVE
    with pytest.raises(Undecided):
        bench.engine().run()
    bench.fake.verdict = Verdict.NO_GO
    with pytest.raises(RolledBack):
        bench.engine().run()
    assert bench.config.read_text() == BEFORE


def test_rollback_twice_ends_in_the_same_state(bench: Bench) -> None:
    bench.engine().run()
    for _ in range(2):
        bench.engine().roll_back(why="asked for")
        assert bench.config.read_text() == bench.fake.loaded == BEFORE
    assert bench.lines().count("undone enable") == 1
    assert bench.lines().count("rolled-back") == 2


def test_rollback_killed_at_any_line_can_be_run_again(bench: Bench) -> None:
    bench.engine().run()
    bench.engine().roll_back(why="asked for")
    lines = bench.path.read_bytes().splitlines(keepends=True)
    for count in range(len(FORWARDS), len(lines)):
        bench.path.write_bytes(b"".join(lines[:count]))
        bench.engine().roll_back(why="asked for")
        assert bench.config.read_text() == BEFORE
        assert bench.engine().state.status is Status.ROLLED_BACK


def test_edits_by_others_to_other_keys_are_kept(bench: Bench) -> None:
    bench.engine().run()
    bench.config.write_text(AFTER.replace("log_overrides = true", "log_overrides = false"))
    bench.engine().roll_back(why="asked for")
    assert bench.config.read_text() == BEFORE.replace("s = true", "s = false")
    assert ("enable", "undone") in bench.seen.ends


def test_undo_is_refused_when_somebody_edited_our_key(bench: Bench) -> None:
    bench.engine().run()
    theirs = BEFORE.replace("enabled = false", "# enabled was here")
    bench.config.write_text(theirs)
    with pytest.raises(RollbackFailed, match=r"was edited since, at overrides\.enabled") as raised:
        bench.engine().roll_back(why="asked for")
    assert (raised.value.code, raised.value.next_command) == (7, "invoke rollback --by backup")
    assert bench.config.read_text() == theirs
    assert bench.engine().state.status is Status.ROLLBACK_FAILED
    bench.config.write_text(AFTER)
    bench.engine().roll_back(why="again")
    assert bench.config.read_text() == BEFORE


def test_restore_in_place_of_the_undo(bench: Bench) -> None:
    bench.engine().run()

    def restore(context: Context) -> str:
        evidence = context.evidence["backup"]
        changed = context.backups.restore(context.backups.load(evidence["id"]))
        return f"restored {len(changed)}"

    bench.config.write_text("# somebody emptied it\n")
    bench.engine().roll_back(restore, why="by backup")
    assert bench.config.read_text() == bench.fake.loaded == BEFORE
    assert bench.lines()[len(FORWARDS) :] == ["rolling-back", "undone restore", *BACK]
    assert ("restore", "undone") in bench.seen.ends


@pytest.mark.parametrize("verdict", [Verdict.NO_GO, Verdict.INCONCLUSIVE])
def test_way_back_that_is_not_proved_has_failed(bench: Bench, verdict: Verdict) -> None:
    bench.fake.verdict, bench.fake.back = Verdict.NO_GO, verdict
    with pytest.raises(RollbackFailed, match=f"the way back stopped: probe: judged {verdict}") as e:
        bench.engine().run()
    assert e.value.state.startswith("The old state is not proved")
    assert e.value.next_command == "invoke status"
    assert bench.lines()[-1] == "rollback-failed"
    assert bench.config.read_text() == BEFORE


def test_evidence_of_earlier_steps_reaches_later_ones(bench: Bench) -> None:
    found: list[Mapping[str, JsonObject]] = []

    class Looking(Fake):
        def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
            found.append(context.evidence)
            return {"way_back": False}

    CHECKS["fake.check"] = Looking(bench.config)  # the fixture puts the old one back
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
    bench.config.write_text(BEFORE + "# theirs\n")
    with pytest.raises(RolledBack, match="changed by somebody else"):
        bench.engine().run()
    assert bench.config.read_text() == BEFORE + "# theirs\n"


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

    class Looking(Fake):
        def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
            names.append((context.instance.name, context.run, context.run_dir))
            return Outcome("", {})

    ACTIONS["service.fake"] = Looking(bench.config)  # the fixture puts the old one back
    bench.engine().run()
    assert names == [("other", "mo-1", bench.path.parent)]


@dataclass
class Operator(Seen):
    """Asks for something when a step begins, and releases a hold as soon as it is awaited."""

    control: Control | None = None
    wishes: Mapping[str, Wish] = field(default_factory=dict)
    waits: list[str] = field(default_factory=list)

    def step_begins(self, step: Step) -> None:
        if step.id in self.wishes and self.control is not None:
            self.control.ask(self.wishes[step.id], "said so")

    def waiting(self, what: str, timeout_s: float) -> None:
        self.waits.append(what)
        if self.control is not None:
            self.control.withdraw(Wish.HOLD)


def operated(bench: Bench, **wishes: Wish) -> Engine:
    seen = Operator(control=Control(bench.path.parent, bench.world), wishes=wishes)
    bench.seen = seen
    return bench.engine()


def test_hold_takes_effect_before_the_next_step_and_release_goes_on(bench: Bench) -> None:
    operated(bench, enable=Wish.HOLD).run()
    lines = bench.lines()
    held = lines.index("held")
    assert lines[held - 1 : held + 3] == ["applied enable", "held", "released", "prepared validate"]
    assert lines[-1] == "finished"
    assert isinstance(bench.seen, Operator)
    assert "invoke release (held by " in bench.seen.waits[0]


def test_hold_that_nobody_releases_leaves_the_run_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cco_migrate.engine.HOLD_TIMEOUT_S", 0.05)
    engine = bench.engine()
    engine.control.ask(Wish.HOLD, "lunch")
    for _ in range(2):
        with pytest.raises(Held, match=r"held by .* \(lunch\), and not released") as raised:
            bench.engine().run()
    assert (raised.value.code, raised.value.next_command) == (12, "invoke release")
    assert bench.lines() == ["planned", "held"]
    assert bench.engine().state.held.endswith("(lunch)")
    engine.control.withdraw(Wish.HOLD)
    bench.engine().run()
    assert bench.lines()[2] == "released"
    assert bench.lines()[-1] == "finished"


@pytest.mark.parametrize("step", ["enable", "validate", "serve", "probe"])
def test_abort_goes_back_before_anything_else_is_done(bench: Bench, step: str) -> None:
    engine = operated(bench, **{step: Wish.ABORT})
    with pytest.raises(RolledBack, match=r"aborted by .* \(said so\)"):
        engine.run()
    assert bench.config.read_text() == bench.fake.loaded == BEFORE
    lines = bench.lines()
    assert lines[-1] == "rolled-back"
    assert lines[lines.index("rolling-back") - 1].endswith(step)
    assert "finished" not in lines
    assert engine.control.asked(Wish.ABORT) is None


def test_abort_ends_a_hold(bench: Bench) -> None:
    engine = bench.engine()
    engine.run(only="enable")
    for wish in (Wish.HOLD, Wish.ABORT):
        engine.control.ask(wish, "")
    with pytest.raises(RolledBack, match="aborted"):
        bench.engine().run()
    assert bench.config.read_text() == BEFORE


def test_abort_before_anything_was_changed_says_so(bench: Bench) -> None:
    engine = bench.engine()
    engine.control.ask(Wish.ABORT, "")
    with pytest.raises(Aborted) as raised:
        engine.run()
    assert (raised.value.code, raised.value.state) == (6, "Nothing was changed.")
    assert bench.lines() == ["planned", "rolled-back"]


def test_abort_does_not_stop_the_way_back(bench: Bench) -> None:
    engine = bench.engine()
    engine.run()
    engine.control.ask(Wish.ABORT, "")
    engine.roll_back(why="asked for")
    assert bench.config.read_text() == bench.fake.loaded == BEFORE
    assert engine.state.status is Status.ROLLED_BACK


@pytest.mark.parametrize("torn", [False, True])
def test_signal_is_journaled_and_the_run_goes_on_later(bench: Bench, torn: bool) -> None:
    class Stopping(Fake):
        def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
            if torn:
                bench.path.write_bytes(bench.path.read_bytes() + b'{"v":1,')
            raise Interrupted(15)

    working = ACTIONS["service.fake"]
    ACTIONS["service.fake"] = Stopping(bench.config)  # the fixture puts the old one back
    with pytest.raises(Interrupted):
        bench.engine().run()
    assert bench.lines()[-2:] == ["applying serve", "interrupted"]
    assert bench.engine().state.status is Status.OPEN
    ACTIONS["service.fake"] = working
    bench.engine().run()
    assert bench.lines()[-1] == "finished"


def test_lost_lock_stops_everything_and_writes_nothing_more(bench: Bench) -> None:
    def lost() -> None:
        if bench.lines()[-1] == "applied enable":
            raise LockLost("taken over")

    with pytest.raises(LockLost):
        replace(bench.engine(), confirm=lost).run()
    assert bench.lines()[-1] == "applied enable"
    assert bench.config.read_text() == AFTER
    bench.engine().run()
    assert bench.lines()[-1] == "finished"


def test_receipt_of_a_failed_step_is_kept_when_its_run_was_killed_then(bench: Bench) -> None:
    bench.engine().run(only="enable")
    journal = Journal(bench.path, "mo-1", bench.world)
    journal.append(Event.FAILED, "enable", reason="killed before the way back was journaled")
    bench.engine().run()
    bench.engine().roll_back(why="asked for")
    assert bench.config.read_text() == bench.fake.loaded == BEFORE


@pytest.mark.parametrize("room", [0, 60])
@pytest.mark.parametrize("event", ["prepared enable", "applied enable", "finished"])
def test_journal_that_cannot_be_written_stops_the_run_where_it_is(
    bench: Bench, event: str, room: int
) -> None:
    class Full(Files):
        full = True

        def append(self, path: Path, data: bytes) -> None:
            row = json.loads(data)
            if self.full and f"{row['event']} {row['step']}".strip() == event:
                super().append(path, data[:room])
                raise OSError(28, "No space left on device")
            super().append(path, data)

    files = Full()
    bench.world = replace(bench.world, files=files)
    with pytest.raises(NotJournaled, match=r"journal\.jsonl: No space left on device") as raised:
        bench.engine().run()
    assert "the run is open" in raised.value.state
    assert raised.value.next_command == "invoke status"
    files.full = False
    bench.engine().run()
    assert bench.lines()[-1] == "finished"
    assert bench.config.read_text() == AFTER
    bench.engine().roll_back(why="asked for")
    assert bench.config.read_text() == bench.fake.loaded == BEFORE


def test_rollback_on_a_full_disk_fails_and_can_be_run_again(bench: Bench) -> None:
    bench.engine().run()

    class Full(Files):
        def append(self, path: Path, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    sound, bench.world = bench.world, replace(bench.world, files=Full())
    with pytest.raises(RollbackFailed, match="No space left") as raised:
        bench.engine().roll_back(why="asked for")
    assert raised.value.code == 7
    assert bench.config.read_text() == AFTER
    bench.world = sound
    bench.engine().roll_back(why="again")
    assert bench.config.read_text() == BEFORE
