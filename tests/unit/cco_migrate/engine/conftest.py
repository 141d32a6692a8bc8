"""A run on real files with a gateway that does not exist, and what its journal should say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from cco_migrate.checks import CHECKS
from cco_migrate.context import Context, Outcome
from cco_migrate.engine import Engine
from cco_migrate.model import Instance, JsonObject, Plan, Step
from cco_migrate.runs.journal import Event, Journal
from cco_migrate.steps import ACTIONS
from cco_migrate.verdict import Judgement, Verdict
from cco_migrate.world import World

BEFORE = """\
# house rules
[overrides]
enabled = false  # step 4
rules = [["claude-sonnet-4-5", "claude-haiku-4-5"]]

[analytics]
log_overrides = true
"""
AFTER = BEFORE.replace("false", "true")


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


@dataclass
class Fake:
    """A gateway that does not exist: one action and one check, told by the test what to say.

    Attributes:
        applying: Called first when the action is applied; may look around, or raise.
        measuring: The same when the check measures.
    """

    config: Path
    loaded: str = BEFORE
    verdict: Verdict = Verdict.GO
    back: Verdict = Verdict.GO
    fails: BaseException | None = None
    applying: Callable[[Step, JsonObject, Context], None] = lambda *_: None
    measuring: Callable[[Context], None] = lambda _: None
    receipts: list[JsonObject] = field(default_factory=list)

    def prepare(self, step: Step, context: Context) -> JsonObject:
        return {"loaded": self.loaded}

    def apply(self, step: Step, receipt: JsonObject, context: Context) -> Outcome:
        self.applying(step, receipt, context)
        self.receipts.append(receipt)
        if self.fails is not None and step.number:
            raise self.fails
        self.loaded = self.config.read_text()
        return Outcome("loaded", {"bytes": len(self.loaded)})

    def undo(self, step: Step, receipt: JsonObject, context: Context) -> str:
        return ""

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        self.measuring(context)
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
    """A run with real files: backup, edit and validation are the product's own.

    Attributes:
        before: The configuration when it begins, and `after` it.
        forwards: The journal of a run that nothing disturbs.
        undone: What the undo of all its steps adds, and `back` the rest of the way back.
    """

    before: ClassVar[str] = BEFORE
    after: ClassVar[str] = AFTER
    forwards: ClassVar[Sequence[str]] = FORWARDS
    undone: ClassVar[Sequence[str]] = UNDONE
    back: ClassVar[Sequence[str]] = BACK

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


@pytest.fixture(params=range(1, len(FORWARDS)), ids=lambda count: FORWARDS[count - 1])
def count(request: pytest.FixtureRequest) -> int:
    """How many lines of the journal were written before the run was killed."""
    lines: int = request.param
    return lines
