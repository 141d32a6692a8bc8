"""The tasks an operator types, one small function each; all work is done in `commands`.

Only Invoke and the standard library are imported here: what a task needs is imported when it runs.
"""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from cco_migrate.invocation import task
from cco_migrate.options import APPLYING, CODES, OUTPUT, PLANNING, TARGET

if TYPE_CHECKING:
    from cco_migrate.commands.backups import Chosen, Consent
    from cco_migrate.session import MigrateOptions, Result, Session


@task(*APPLYING, "dry_run", "plan")
def migrate(session: Session, o: Namespace) -> Result:
    """Carry a migration out, step by step; a rerun goes on where the last one stopped."""
    from cco_migrate.commands import migrating

    return migrating.migrate(session, _migrate_options(o))


@task(*PLANNING, "detailed_exitcode", "out", "plan")
def plan(session: Session, o: Namespace) -> Result:
    """Show what a run would do: every diff, every step; change nothing."""
    from cco_migrate.commands import migrating

    return migrating.plan_only(session, _migrate_options(o), detailed_exitcode=o.detailed_exitcode)


@task(*PLANNING)
def check(session: Session, o: Namespace) -> Result:
    """Run the preflight alone: files, gateway, traffic, trial start."""
    from cco_migrate.commands import migrating

    return migrating.check(session, _migrate_options(o))


@task("home", *OUTPUT)
def status(session: Session, o: Namespace) -> Result:
    """Say where the last run stands, what it waits for and what to type next."""
    from cco_migrate.commands import operating

    return operating.status(session)


@task("home", *OUTPUT, "why")
def hold(session: Session, o: Namespace) -> Result:
    """Ask the open run not to begin another step; its process waits, at most an hour."""
    from cco_migrate.commands import operating

    return operating.hold(session, why=o.why)


@task("home", *OUTPUT)
def release(session: Session, o: Namespace) -> Result:
    """Let a held run go on."""
    from cco_migrate.commands import operating

    return operating.release(session)


@task("home", *OUTPUT, "why", "timeout")
def abort(session: Session, o: Namespace) -> Result:
    """Bring the old state back before anything else is done, whoever works on the run."""
    from cco_migrate.commands import operating

    return operating.abort(session, why=o.why, timeout_s=o.timeout)


@task("home", *OUTPUT, "for_", "timeout")
def wait(session: Session, o: Namespace) -> Result:
    """Wait for the newest run: --for done, held or gate; exit 12 when it does not come to that."""
    from cco_migrate.commands import operating

    return operating.wait(session, what=o.for_, timeout_s=o.timeout)


@task("home", *OUTPUT)
def takeover(session: Session, o: Namespace) -> Result:
    """Take the lock from a machine that died, once it was silent for 30 s; journaled."""
    from cco_migrate.commands import operating

    return operating.takeover(session)


@task("home", *OUTPUT, "item", "person", "run", "gate", "by_", "scope", "expires", "out",
      "count", "of")  # fmt: skip
def approve(session: Session, o: Namespace) -> Result:
    """Record a person's word: of the team's notice, or of a gate (--gate, --by; --out FILE)."""
    from cco_migrate.commands import approving, migrating

    if o.gate or o.out:
        return approving.approve(session, o)
    return migrating.approve(session, item=o.item, by=o.person, run_id=o.run)


@task("json")
def codes(session: Session, o: Namespace) -> Result:
    """List the exit codes."""
    from cco_migrate.session import Result

    text = "\n".join(f"{code:>4}  {meaning}" for code, meaning in CODES.items())
    return Result(
        text, {"schema_version": 1, "codes": {str(code): text for code, text in CODES.items()}}
    )


@task(
    "home", *OUTPUT, "run", "by", "onto", "branch", "to", "show_force_push", "confirm", "yes",
    "no_input", name="run", default=True,
)  # fmt: skip
def rollback(session: Session, o: Namespace) -> Result:
    """Undo the last run, restart, and prove that the old state is loaded."""
    from cco_migrate.commands import taking_back

    wanted = taking_back.Wanted(
        by=o.by, run=o.run, onto=o.onto, branch=o.branch, to=o.to, force_push=o.show_force_push,
        confirm=o.confirm, yes=o.yes, no_input=o.no_input,
    )  # fmt: skip
    return taking_back.rollback(session, wanted)


@task(*TARGET, *OUTPUT, "times", "manifest", "repository", name="rehearse")
def rollback_rehearse(session: Session, o: Namespace) -> Result:
    """Cut a clone of the deployment over and take every way back, ten times; record the times."""
    from cco_migrate.commands import rehearsing

    wanted = rehearsing.Wanted(o.times, o.manifest, o.repository)
    return rehearsing.rehearse(session, wanted)


@task("home", *OUTPUT, "run", name="show", default=True)
def report(session: Session, o: Namespace) -> Result:
    """Write the report of a run again, from its journal."""
    from cco_migrate.commands import migrating

    return migrating.show_report(session, o.run)


@task("home", *OUTPUT, "run", "dir", name="verify")
def report_verify(session: Session, o: Namespace) -> Result:
    """Prove a run's files offline: every checksum, every verdict; exit 9 names what changed."""
    from cco_migrate.commands import reporting

    return reporting.verify_report(session, run_id=o.run, directory=o.dir)


@task("home", *OUTPUT, "kind_", "run", "plan", "out")
def notice(session: Session, o: Namespace) -> Result:
    """Write what people are told, with the facts of the run: --kind before, after, daily, ..."""
    from cco_migrate.commands import notices

    return notices.notice(session, notices.Wanted(o.kind_, o.run, o.plan, o.out))


@task("home", *OUTPUT, "start_", "out")
def calendar(session: Session, o: Namespace) -> Result:
    """Lay the cutover's 21 days out from --start on, around freezes; --out writes iCalendar."""
    from cco_migrate.commands import notices

    return notices.calendar(session, o.start_, o.out)


@task(*OUTPUT, "kind")
def runbook(session: Session, o: Namespace) -> Result:
    """Print the runbook of a migration, or of the gates (--kind gates): every step by hand."""
    from cco_migrate.commands import gates, migrating

    if o.kind == "gates":
        return gates.show_runbook()
    return migrating.show_runbook(o.kind)


@task(
    "home", "config", "url", *OUTPUT, "phase", "fingerprint", "key", "model", "streams",
    "criteria", "evidence", "baseline", "approvals", "watch", "every", "systems", "proxy",
    "junit", "markdown", name="run", default=True,
)  # fmt: skip
def gate_run(session: Session, o: Namespace) -> Result:
    """Judge a phase, 0 to 3: GO 0, NO-GO 3, INCONCLUSIVE 4, HOLD 5; changes nothing."""
    from cco_migrate.commands import gates

    return gates.gate(session, o)


@task(*TARGET, *OUTPUT, name="list", default=True)
def backup_list(session: Session, o: Namespace) -> Result:
    """List the backups, each verified by restoring it to scratch."""
    from cco_migrate.commands import backups

    return backups.backup_list(session)


@task(*TARGET, *OUTPUT, "id", "archive", "endpoint", name="verify")
def backup_verify(session: Session, o: Namespace) -> Result:
    """Prove backups: restore to scratch, compare checksums, validate; all of them, or one."""
    from cco_migrate.commands import backups

    return backups.backup_verify(session, _chosen(o))


@task(
    *TARGET, *OUTPUT, "id", "archive", "endpoint", "file", "yes", "no_input", "dry_run",
    name="restore",
)  # fmt: skip
def backup_restore(session: Session, o: Namespace) -> Result:
    """Put saved files back; what stands there is saved first and can be restored the same way."""
    from cco_migrate.commands import backups

    names = [name.strip() for name in o.file.split(",") if name.strip()]
    return backups.backup_restore(session, _chosen(o), names, _consent(o))


@task("home", *OUTPUT, "id", "out", "endpoint", name="export")
def backup_export(session: Session, o: Namespace) -> Result:
    """Write one backup as a tar.gz: to a file, a folder or an S3-compatible store."""
    from cco_migrate.commands import backups

    return backups.backup_export(session, _chosen(o), o.out)


@task("home", *OUTPUT, "keep", "keep_days", "yes", "no_input", "dry_run", name="prune")
def backup_prune(session: Session, o: Namespace) -> Result:
    """Remove old backups, shown first; never what an open run or the last way back needs."""
    from cco_migrate.backup.retention import Policy
    from cco_migrate.commands import backups

    policy = Policy(o.keep, o.keep_days)
    return backups.backup_prune(session, policy, _consent(o))


@task(*TARGET, *OUTPUT, name="start")
def gateway_start(session: Session, o: Namespace) -> Result:
    """Start the gateway of the target and wait until it is ready."""
    from cco_migrate.commands import services

    return services.gateway_start(session)


@task(*TARGET, *OUTPUT, name="stop")
def gateway_stop(session: Session, o: Namespace) -> Result:
    """Stop the gateway of the target after its streams have ended."""
    from cco_migrate.commands import services

    return services.gateway_stop(session)


@task(*TARGET, *OUTPUT, name="reload")
def gateway_reload(session: Session, o: Namespace) -> Result:
    """Load the files as they are now; the socket stays open."""
    from cco_migrate.commands import services

    return services.gateway_reload(session)


@task(*OUTPUT, name="up", default=True)
def demo_up(session: Session, o: Namespace) -> Result:
    """Create and start the demo deployment in .cco-demo/."""
    from cco_migrate.commands import services

    return services.demo_up(session)


@task(*OUTPUT, name="down")
def demo_down(session: Session, o: Namespace) -> Result:
    """Stop the demo deployment."""
    from cco_migrate.commands import services

    return services.demo_down(session)


@task("what", "rounds")
def bench(session: Session, o: Namespace) -> Result:
    """Measure the main job or the gateway: medians, never asserted in tests (checkout only)."""
    from cco_migrate.commands import development

    return development.bench(o.what, o.rounds)


@task(name="check", default=True)
def dev_check(session: Session, o: Namespace) -> Result:
    """Check the project itself: format, lint, types, import contracts, tests (checkout only)."""
    from cco_migrate.commands import development

    return development.check()


@task(name="style")
def dev_style(session: Session, o: Namespace) -> Result:
    """Check the project itself without its tests: format, lint, types, import contracts."""
    from cco_migrate.commands import development

    return development.style()


@task("check", "json", name="update")
def prices_update(session: Session, o: Namespace) -> Result:
    """Write the price table anew from the installed genai-prices (checkout only)."""
    from cco_migrate.commands import development

    return development.update_prices(session.world, check=o.check)


def step_task(step_id: str, title: str) -> Any:  # Any: see task
    """Make the task of one step: it begins a run when none is open, and goes up to this step."""

    def act(session: Session, o: Namespace) -> Result:
        from cco_migrate.commands import migrating

        return migrating.migrate(session, _migrate_options(o, only=step_id))

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


def _chosen(options: Namespace) -> Chosen:
    from cco_migrate.commands.backups import Chosen

    return Chosen(options.id, getattr(options, "archive", ""), options.endpoint)


def _consent(options: Namespace) -> Consent:
    from cco_migrate.commands.backups import Consent

    return Consent(options.yes, options.no_input, options.dry_run)


def _migrate_options(options: Namespace, *, only: str = "") -> MigrateOptions:
    from cco_migrate.session import MigrateOptions

    known = MigrateOptions.__dataclass_fields__
    given = {name: value for name, value in vars(options).items() if name in known}
    wait = float(getattr(options, "lock_timeout", 0))
    return MigrateOptions(**given, only=only, lock_timeout_s=wait)
