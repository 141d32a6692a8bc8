"""The gate of a phase as a check of a run: its verdict, and what it is when nobody can measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cco_migrate.checks import CHECKS
from cco_migrate.checks.held_gate import USES
from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError
from cco_migrate.gates.phases import criteria_of
from cco_migrate.judge.criterion import Mode
from cco_migrate.migrations.held_gate import HELD, approvals_path, gate_terms
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Verdict

MORE = {
    "model": "claude-haiku-4-5-20251001", "streams": 0, "credential": "demo", "fingerprint": "f00",
    "switches": [True, False], "baseline": "",
}  # fmt: skip


def step(more: JsonObject) -> Step:
    criteria = (replace(one, mode=Mode.OBSERVE) for one in criteria_of(1, {}, carried=True))
    return Step(3, "gate", "gate of phase 1", USES, gate_terms(1, criteria, more))


@pytest.mark.parametrize("verdict", Verdict)
def test_verdict_of_the_gate_is_that_of_the_step(verdict: Verdict) -> None:
    facts = {"phase": 2, "gate": verdict.value, "said": "why", "approvals": "/a.jsonl"}
    judged = CHECKS[USES].judge(step(MORE), facts)
    assert judged.verdict is verdict
    assert judged.summary.startswith("why")
    assert ("/a.jsonl" in judged.summary) == (verdict is Verdict.INCONCLUSIVE)


def test_gate_of_a_gateway_that_is_gone_proves_nothing_and_keeps_its_frozen_criteria(
    context_at: Callable[[str], Context], closed_port: int
) -> None:
    context, check = context_at(f"http://127.0.0.1:{closed_port}"), HELD[USES]
    facts = check.measure(step(MORE), {}, context)
    assert {row["id"] for row in facts["criteria"]} == set(step(MORE).params["criteria"])
    assert not any(row["enforced"] for row in facts["criteria"])
    assert all("facts" in row for row in facts["criteria"])
    assert (context.run_dir / "gate-1.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"streams": 1, "credential": "env:NO_SUCH_KEY_HERE"}, "NO_SUCH_KEY_HERE"),
        ({"baseline": "/no/such/baseline.json"}, "baseline.json"),
    ],
)
def test_gate_that_cannot_be_held_is_inconclusive_and_says_why(
    context_at: Callable[[str], Context], more: JsonObject, said: str
) -> None:
    context, check, wanted = context_at("http://127.0.0.1:1"), HELD[USES], step({**MORE, **more})
    judged = check.judge(wanted, check.measure(wanted, {}, context))
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert said in judged.summary


def test_approvals_of_the_run_are_read_and_a_broken_file_is_told(
    context_at: Callable[[str], Context],
) -> None:
    context, check = context_at("http://127.0.0.1:1"), HELD[USES]
    assert approvals_path(context) == context.instance.migrate_dir / "approvals.jsonl"
    (context.run_dir / "approvals.jsonl").write_text("no approval\n")
    assert approvals_path(context) == context.run_dir / "approvals.jsonl"
    judged = check.judge(step(MORE), check.measure(step(MORE), {}, context))
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "approvals.jsonl:1" in judged.summary


def test_only_a_run_can_hold_a_gate(context_at: Callable[[str], Context]) -> None:
    with pytest.raises(ToolkitError, match="only be held by a run"):
        CHECKS[USES].measure(step(MORE), {}, context_at("http://127.0.0.1:1"))
