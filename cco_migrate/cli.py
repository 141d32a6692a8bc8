"""The command line: one Invoke namespace, for `invoke TASK` and for the script `cco-migrate`."""

from __future__ import annotations

from invoke.collection import Collection

import cco_migrate
from cco_migrate.program import MigrateProgram
from cco_migrate.tasks import nouns, steps, verbs


def namespace() -> Collection:
    """Return all tasks: verbs at the top, nouns as collections."""
    ns = Collection(*VERBS)
    for noun, members in NOUNS.items():
        ns.add_collection(Collection(noun, *members))
    by_hand = [steps.step_task(*row) for row in steps.STEPS.items()]
    ns.add_collection(Collection("step", *by_hand))
    return ns


VERBS = (
    verbs.migrate, verbs.plan, verbs.check, verbs.status, verbs.hold, verbs.release, verbs.abort,
    verbs.wait, verbs.takeover, verbs.approve, verbs.codes, verbs.runbook, verbs.notice,
    verbs.calendar, verbs.bench,
)  # fmt: skip

NOUNS = {
    "rollback": (nouns.rollback, nouns.rollback_rehearse),
    "report": (nouns.report, nouns.report_verify),
    "backup": (
        nouns.backup_list, nouns.backup_verify, nouns.backup_restore, nouns.backup_export,
        nouns.backup_prune,
    ),
    "gate": (nouns.gate_run,),
    "gateway": (nouns.gateway_start, nouns.gateway_stop, nouns.gateway_reload),
    "demo": (nouns.demo_up, nouns.demo_down),
    "prices": (nouns.prices_update,),
    "dev": (nouns.dev_check, nouns.dev_style),
}  # fmt: skip


def main() -> None:
    """Run the console script `cco-migrate`."""
    program = MigrateProgram(
        version=cco_migrate.__version__,
        namespace=namespace(),
        name="cco-migrate",
        binary="cco-migrate",
    )
    program.run()
