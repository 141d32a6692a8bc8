"""A plan for people: every diff, who is affected, and what is known of each step. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cco_migrate.checks import CHECKS
from cco_migrate.forecast.blast_radius import BlastRadius
from cco_migrate.forecast.text import reached
from cco_migrate.migrations.guide import guide_of
from cco_migrate.model import Plan, Step
from cco_migrate.removal.planning import confirmation


def summary(plan: Plan, here: Path) -> list[str]:
    """Return every change as its own diff, how the gateway is restarted, who notices, and back.

    Args:
        here: The working directory; paths below it are shown without it.
    """
    lines = []
    for change in plan.changes:
        lines.append(f"{change.why}: {_shown(Path(change.path), here)}")
        lines += [f"  {line}" for line in _changed_lines(change.diff)]
    if not plan.way_back:
        return [*lines, "restart: none", "blast radius: nobody; nothing is changed"]
    if any(step.uses == "git.branch" for step in plan.steps):
        words = confirmation(plan)
        asks = [f"begins when a person has typed: {words}   (scripts: --confirm)"] if words else []
        return [*lines, "restart: none", *_ON_A_BRANCH, *asks]
    lines.append(f"restart: {_restart(plan)}")
    lines.append(f"blast radius: {_blast_radius(plan)}")
    lines.append(
        "way back: by flag or from the backup, restart, proof; a failed check takes it by itself"
    )
    return lines


def steps(plan: Plan) -> list[str]:
    """Return what each step will do, what was verified, what is assumed and what its gate needs."""
    return [line for step in plan.steps for line in _step(plan, step)]


_ON_A_BRANCH = (
    "blast radius: nobody; what is checked out and what serves stay as they are",
    "way back: the branch is deleted as long as nobody has merged it; a failed check does so by "
    "itself; afterwards a commit takes it back, or the bundle",
)


def _step(plan: Plan, step: Step) -> Iterator[str]:
    guide = guide_of(plan.kind, step.id)
    yield f"{step.number:>2} {step.title}: {guide.does if guide else step.uses}"
    for one in plan.basis.observations if plan.basis else ():
        if one.step == step.id:
            yield f"     {one.certainty.value}: {one.text}"
    if step.uses in CHECKS and guide is not None:
        yield f"     goes on with: {guide.expect}"


def _changed_lines(diff: str) -> Iterator[str]:
    for line in diff.splitlines():
        if line[:1] in "+-" and line[:3] not in {"+++", "---"}:
            yield f"{line[:1]} {line[1:].strip()}"


def _restart(plan: Plan) -> str:
    replaced = any(step.uses == "service.replace" for step in plan.steps)
    return "replace the workers, socket open" if replaced else "stop and start"


def _blast_radius(plan: Plan) -> str:
    every = f"every client of {plan.instance.url}"
    if plan.basis is None or plan.basis.blast_radius is None:
        return f"{every}; how many is unknown, no recorded request says it"
    who = reached(BlastRadius.from_json(plan.basis.blast_radius))
    return who or f"{every}; no recorded request asks for a model that would be replaced"


def _shown(path: Path, here: Path) -> str:
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
