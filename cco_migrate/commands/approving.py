"""A person's word about a gate: kept where gates read it, and journaled with an open run."""

from __future__ import annotations

from argparse import Namespace

from cco_migrate.commands import gates, operating
from cco_migrate.commands.reporting import chosen_run, write_report
from cco_migrate.commands.run_summary import document
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.approvals import ATTESTED, is_asked_for
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import UNFINISHED
from cco_migrate.session import Result, Session


def approve(session: Session, given: Namespace) -> Result:
    """Record what a person says of a step of the run, or of a criterion of a gate.

    A criterion's word goes to the file of --out, else to that of the state root, which every gate
    on it reads; an open run journals it, too, for its report. A word whose scope no gate asks for
    is journaled alone.

    Args:
        given: What was typed: gate, by_, scope, expires, out, count, of.

    Raises:
        InvalidInput: Something is missing, nobody asks for it, or it has expired already.
    """
    if given.out:
        return gates.approve(session, given)
    if given.gate not in ATTESTED or not is_asked_for(given.scope.strip()):
        return _journaled(session, given)
    kept = gates.approve(session, given)
    run = session.store.latest()
    if run is None or run.state.status not in UNFINISHED:
        return kept
    journaled = _journaled(session, given)
    return Result(f"{kept.text}; {journaled.text}", {**journaled.document, **kept.document})


def attest(session: Session, *, item: str, by: str, run_id: str) -> Result:
    """Record a person's word in the run's journal."""
    if item != "team-notified":
        raise InvalidInput(f"--item {item}: unknown; there is: team-notified")
    if not by.strip():
        raise InvalidInput("--person is empty: whose word is it?")
    with session.locked("approve", begun=True):
        run = chosen_run(session, run_id)
        run.journal.append(Event.ATTESTED, item, reason=by.strip())
        write_report(session, run)
    return Result(f"run {run.id}: {item}, by word of {by.strip()}", document(run))


def _journaled(session: Session, given: Namespace) -> Result:
    return operating.approve(
        session, gate=given.gate, by=given.by_, scope=given.scope, expires=given.expires
    )
