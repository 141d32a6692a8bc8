"""The tasks that are a verb of their own, e.g. migrate or status; one small function each."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from cco_migrate.invocation import task
from cco_migrate.options import APPLYING, CODES, OUTPUT, PLANNING

if TYPE_CHECKING:
    from cco_migrate.session import MigrateOptions, Result, Session


@task(*APPLYING, "dry_run", "plan")
def migrate(session: Session, o: Namespace) -> Result:
    """Carry a migration out, step by step; a rerun goes on where the last one stopped."""
    from cco_migrate.commands import migrating

    return migrating.migrate(session, migrate_options(o))


@task(*PLANNING, "detailed_exitcode", "out", "plan")
def plan(session: Session, o: Namespace) -> Result:
    """Show what a run would do: every diff, every step; change nothing."""
    from cco_migrate.commands import migrating

    return migrating.plan_only(session, migrate_options(o), detailed_exitcode=o.detailed_exitcode)


@task(*PLANNING)
def check(session: Session, o: Namespace) -> Result:
    """Run the preflight alone: files, gateway, traffic, trial start."""
    from cco_migrate.commands import migrating

    return migrating.check(session, migrate_options(o))


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
    from cco_migrate.commands import approving

    if o.gate or o.out:
        return approving.approve(session, o)
    return approving.attest(session, item=o.item, by=o.person, run_id=o.run)


@task("json")
def codes(session: Session, o: Namespace) -> Result:
    """List the exit codes."""
    from cco_migrate.session import Result

    text = "\n".join(f"{code:>4}  {meaning}" for code, meaning in CODES.items())
    return Result(
        text, {"schema_version": 1, "codes": {str(code): text for code, text in CODES.items()}}
    )


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


@task("what", "rounds")
def bench(session: Session, o: Namespace) -> Result:
    """Measure the main job or the gateway: medians, never asserted in tests (checkout only)."""
    from cco_migrate.commands import development

    return development.bench(o.what, o.rounds)


def migrate_options(options: Namespace, *, only: str = "") -> MigrateOptions:
    """Return what was typed as options of a migration, which goes up to the step `only`."""
    from cco_migrate.session import MigrateOptions

    known = MigrateOptions.__dataclass_fields__
    given = {name: value for name, value in vars(options).items() if name in known}
    wait = float(getattr(options, "lock_timeout", 0))
    return MigrateOptions(**given, only=only, lock_timeout_s=wait)
