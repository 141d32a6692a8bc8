"""The tasks that belong to a noun, e.g. backup.list; one small function each."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from cco_migrate.invocation import task
from cco_migrate.options import OUTPUT, TARGET

if TYPE_CHECKING:
    from cco_migrate.commands.backup_choice import Chosen, Consent
    from cco_migrate.session import Result, Session


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
    from cco_migrate.commands import reporting

    return reporting.show_report(session, o.run)


@task("home", *OUTPUT, "run", "dir", name="verify")
def report_verify(session: Session, o: Namespace) -> Result:
    """Prove a run's files offline: every checksum, every verdict; exit 9 names what changed."""
    from cco_migrate.commands import reporting

    return reporting.verify_report(session, run_id=o.run, directory=o.dir)


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
    from cco_migrate.commands import pruning

    policy = Policy(o.keep, o.keep_days)
    return pruning.backup_prune(session, policy, _consent(o))


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


def _chosen(options: Namespace) -> Chosen:
    from cco_migrate.commands.backup_choice import Chosen

    return Chosen(options.id, getattr(options, "archive", ""), options.endpoint)


def _consent(options: Namespace) -> Consent:
    from cco_migrate.commands.backup_choice import Consent

    return Consent(options.yes, options.no_input, options.dry_run)
