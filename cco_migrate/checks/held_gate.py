"""The gate of a phase as a check of a run. What holds the gate is given to it from above."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Judgement, Verdict

USES = "gate.held"


def nobody(_step: Step, _context: Context) -> JsonObject:
    """Refuse: who only judges again has no gateway to ask."""
    raise ToolkitError("a gate can only be held by a run")


@dataclass(frozen=True, slots=True)
class GateHeld:
    """Params: those of `migrations.held_gate.gate_terms`: the phase and its frozen criteria.

    Attributes:
        hold: Measures, and returns the facts: `verdict`, `said`, `criteria`, or `unmeasured`.
    """

    hold: Callable[[Step, Context], JsonObject] = nobody

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture: the gate compares what it reads itself."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Hold the gate; a criterion that cannot be measured says so in its own row."""
        return self.hold(step, context)

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """Return the verdict of the gate."""
        if "unmeasured" in facts:
            return Judgement(step.id, Verdict.INCONCLUSIVE, str(facts["unmeasured"]), dict(facts))
        verdict, said = Verdict(facts["gate"]), str(facts["said"])
        if verdict is Verdict.INCONCLUSIVE:
            said += f"; what people approve is read from {facts['approvals']}"
        return Judgement(step.id, verdict, said, dict(facts))
