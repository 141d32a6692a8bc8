"""Plans that were saved: read for the right gateway, refused when stale or carried out before."""

from __future__ import annotations

from pathlib import Path

from cco_migrate import plan_file
from cco_migrate.errors import InvalidInput, StalePlan
from cco_migrate.model import Plan
from cco_migrate.planning import basis
from cco_migrate.session import MigrateOptions, Session

DECIDED_BY_PLAN = (
    "kind", "fix", "traffic", "key", "requests", "watch_s", "waive", "why", "soak",
    "soak_interval", "soak_requests", "on_no_go", "criteria",
    "phase", "standby", "model", "streams", "baseline", "manifest", "repository",
)  # fmt: skip
"""Options that make a plan, and so cannot be given with one."""


def load(session: Session, options: MigrateOptions) -> Plan:
    """Return the plan in the file that was named.

    Raises:
        InvalidInput: It is no plan, it is about another gateway, or options try to change it.
    """
    fresh = MigrateOptions()
    if given := [n for n in DECIDED_BY_PLAN if getattr(options, n) != getattr(fresh, n)]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InvalidInput(f"{names}: the plan in {options.plan} has decided that already")
    path = Path(options.plan)
    try:
        plan = plan_file.decode(session.world.files.read(path), path)
    except OSError as error:
        raise InvalidInput(f"--plan {path}: {error.strerror}") from error
    if plan.instance.home != session.home:
        text = f"{path} is about {plan.instance.url} with the state root {plan.instance.home}"
        raise InvalidInput(f"{text}; name it with --home")
    return plan


def refuse_stale(session: Session, plan: Plan) -> None:
    """Raise StalePlan when the plan was carried out once, or what it rests on has moved."""
    reasons = staleness(session, plan)
    if reasons:
        raise StalePlan(
            f"plan {plan.digest} is stale: {'; '.join(reasons)}",
            state="Nothing was changed.",
            next_command=plan_file.MAKE_ANOTHER,
        )


def staleness(session: Session, plan: Plan) -> tuple[str, ...]:
    """Return why the plan must not be carried out any more; empty when it may."""
    used = tuple(
        f"it was carried out as run {run.id}"
        for run in session.store.all()
        if run.plan.digest == plan.digest
    )
    return (*used, *basis.moved(plan, session.context(plan.instance)))


def save(session: Session, plan: Plan, path: Path) -> None:
    """Write the plan into a file of mode 0600; raises InvalidInput when it cannot be written."""
    try:
        session.world.files.replace(path, plan_file.encode(plan))
    except OSError as error:
        raise InvalidInput(f"--out {path}: {error.strerror}") from error
