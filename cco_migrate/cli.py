"""The command line: one Invoke namespace, for `invoke TASK` and for the script `cco-migrate`."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.program import Program

import cco_migrate
from cco_migrate import tasks
from cco_migrate.invocation import usage


def namespace() -> Collection:
    """Return all tasks: verbs at the top, nouns as collections."""
    ns = Collection(*VERBS)
    for noun, members in NOUNS.items():
        ns.add_collection(Collection(noun, *members))
    steps = [tasks.step_task(*row) for row in tasks.STEPS.items()]
    ns.add_collection(Collection("step", *steps))
    return ns


VERBS = (
    tasks.migrate, tasks.plan, tasks.check, tasks.status, tasks.hold, tasks.release, tasks.abort,
    tasks.wait, tasks.takeover, tasks.approve, tasks.codes, tasks.runbook, tasks.notice,
    tasks.calendar, tasks.bench,
)  # fmt: skip

NOUNS = {
    "rollback": (tasks.rollback, tasks.rollback_rehearse),
    "report": (tasks.report, tasks.report_verify),
    "backup": (
        tasks.backup_list, tasks.backup_verify, tasks.backup_restore, tasks.backup_export,
        tasks.backup_prune,
    ),
    "gate": (tasks.gate_run,),
    "gateway": (tasks.gateway_start, tasks.gateway_stop, tasks.gateway_reload),
    "demo": (tasks.demo_up, tasks.demo_down),
    "prices": (tasks.prices_update,),
    "dev": (tasks.dev_check, tasks.dev_style),
}  # fmt: skip


class MigrateProgram(Program):
    """The console script: Invoke's program with our namespace, and usage errors as exit 64."""

    def parse_tasks(self) -> None:
        """Parse, and turn Invoke's terse parse errors into a usage message."""
        try:
            super().parse_tasks()
        except (ParseError, ValueError) as error:
            raise usage(
                f"{error}\n  see: {self.binary} --list, {self.binary} TASK --help"
            ) from error


def main() -> None:
    """Run the console script `cco-migrate`."""
    program = MigrateProgram(
        version=cco_migrate.__version__,
        namespace=namespace(),
        name="cco-migrate",
        binary="cco-migrate",
    )
    program.run()
