"""Runbooks: what the plans do, as text for people who do it by hand. Reads templates only."""

from __future__ import annotations

from pathlib import Path

from cco_migrate import report, resources
from cco_migrate.config import ConfigName
from cco_migrate.criteria import CRITERIA
from cco_migrate.demo import OLD_PATH, OVERRIDES
from cco_migrate.judge.outages import DAY_S
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.migrations.guide import GUIDES
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.model import DriverSpec, Instance, OnNoGo
from cco_migrate.pricing.prices import PriceTable
from cco_migrate.runs.journal import RunState, Status
from cco_migrate.soak.terms import Offer, Soak, make_soak

TITLES = {
    "model-overrides": "turn on model overrides",
    "gateway-cutover": "send clients to the gateway (soft cutover)",
}
COMMANDS = {
    "model-overrides": "",
    "gateway-cutover": " --kind gateway-cutover --phase 2",
}
"""What is typed behind `invoke migrate` and `invoke check`."""
OPTIONAL = {"fix": "--fix", "soak": "--soak"}
"""The option without which a plan has no such step."""


def render(kind: str) -> str:
    """Return the runbook of one kind of migration, as Markdown."""
    plan = MIGRATIONS[kind](_example(kind))
    steps = [
        {
            "number": step.number,
            "id": step.id,
            "title": step.title,
            "guide": GUIDES[kind][step.id],
            "optional": OPTIONAL.get(step.id, ""),
        }
        for step in plan.steps
    ]
    nothing = RunState("none", Status.OPEN, "", "", {}, {})
    items = [item.text for item in report.checklist(plan, nothing)]
    template = report.environment().get_template("runbook.md.j2")
    return template.render(
        kind=kind, title=TITLES[kind], options=COMMANDS[kind], steps=steps, checklist=items
    )


def _example(kind: str) -> Inputs:
    config = Path("/etc/cco/model-overrides.toml")
    instance = Instance(
        "your gateway", "http://127.0.0.1:3000", config, Path("/var/lib/cco"), DriverSpec("process")
    )
    files = dict.fromkeys(ConfigName) | {ConfigName.OVERRIDES: OVERRIDES.encode()}
    if kind == "gateway-cutover":
        files[ConfigName.DAEMON] = OLD_PATH
    known = PriceTable(resources.data("prices")).ids
    return Inputs(instance, files, fix=True, replace=False, known_models=known,
                  verification=Verification(), soak=_soak(), cutover=Cutover(phase=2))  # fmt: skip


def _soak() -> Soak:
    return make_soak(DAY_S, None, OnNoGo.ROLLBACK, CRITERIA, (), Offer())
