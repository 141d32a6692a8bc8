"""One task for each step of a migration, for people who go by hand, e.g. step.backup."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from cco_migrate.invocation import task
from cco_migrate.options import APPLYING
from cco_migrate.tasks.verbs import migrate_options

if TYPE_CHECKING:
    from cco_migrate.session import Result, Session


def step_task(step_id: str, title: str) -> Any:  # Any: see task
    """Make the task of one step: it begins a run when none is open, and goes up to this step."""

    def act(session: Session, o: Namespace) -> Result:
        from cco_migrate.commands import migrating

        return migrating.migrate(session, migrate_options(o, only=step_id))

    act.__doc__ = (
        f"Step {title}, by hand; the steps before it are done first when they are not yet."
    )
    return task(*APPLYING, name=step_id)(act)


STEPS = {
    "backup": "1 of 12: back up the configuration",
    "exists": "2 of 12: the configuration exists",
    "state": "3 of 12: show the current state",
    "fix": "4 of 12: add dashed twins (with --fix)",
    "enable": "4 of 12: enable overrides",
    "validate": "5 of 12: validate the configuration",
    "stop": "6 of 12: stop",
    "restart": "7 of 12: start, or replace the workers",
    "proof": "8 of 12: prove what is loaded",
    "traffic": "9 of 12: verification traffic",
    "counts": "10 of 12: statistics agree",
    "cost": "11 of 12: cost fell",
    "soak": "12 of 12: watch the change for its bake time (with --soak)",
    "report": "12 of 12: write the report",
}
