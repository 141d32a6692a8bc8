"""Checks by name: `measure` looks and never raises for a sick service, `judge` is pure."""

from __future__ import annotations

from typing import Protocol

from cco_migrate.checks import held_gate
from cco_migrate.checks.canary import LauncherDivides
from cco_migrate.checks.configuration import ConfigExists, ConfigValid, CurrentState
from cco_migrate.checks.cost import CostFell
from cco_migrate.checks.launcher import LauncherLeads
from cco_migrate.checks.loaded import ConfigurationLoaded
from cco_migrate.checks.rehearsal import CommandsPass, Restorable, Revertible
from cco_migrate.checks.removal import NoReferences, RemovalFits, RemovalUndone
from cco_migrate.checks.statistics import StatisticsAgree
from cco_migrate.checks.switches import SwitchesInForce, SwitchesState
from cco_migrate.checks.traffic import TrafficFlows
from cco_migrate.context import Context
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Judgement

__all__ = ["CHECKS", "Check"]


class Check(Protocol):
    """Looks at one thing and says what it means."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Capture what `measure` compares with (counters, log size).

        Raises:
            ToolkitError: It cannot be captured; nothing was changed.
        """

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Return facts as JSON values; what could not be measured is named in `unmeasured`."""

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """Return the verdict of these facts.

        Pure, so that a report can be recomputed from its journal.
        """


CHECKS: dict[str, Check] = {
    "config.exists": ConfigExists(),
    "config.state": CurrentState(),
    "config.valid": ConfigValid(),
    "config.loaded": ConfigurationLoaded(),
    "traffic.flows": TrafficFlows(),
    "statistics.agree": StatisticsAgree(),
    "cost.fell": CostFell(),
    "removal.fits": RemovalFits(),
    "removal.references": NoReferences(),
    "removal.commands": CommandsPass(),
    "removal.restorable": Restorable(),
    "removal.revertible": Revertible(),
    "removal.undone": RemovalUndone(),
    "switches.state": SwitchesState(),
    "switches.in-force": SwitchesInForce(),
    "launcher.leads": LauncherLeads(),
    "launcher.divides": LauncherDivides(),
    held_gate.USES: held_gate.GateHeld(),  # a run has the one that can hold it
}
