"""The gate of a phase as a command: what was typed becomes a run of its tests."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from cco_migrate.errors import InvalidInput
from cco_migrate.gates.evidence_file import require_same
from cco_migrate.gates.order import GateOptions, make_order
from cco_migrate.gates.phases import CAPTURE
from cco_migrate.gates.rendering import document_lines
from cco_migrate.gates.running import run_gate
from cco_migrate.session import Result, Session

DEFAULT_KEY = "env:ANTHROPIC_API_KEY"
LONGEST_S = 600.0


def gate(session: Session, given: Namespace) -> Result:
    """Judge a phase; the verdict is the exit code.

    Args:
        given: What was typed: the options of GateOptions, with junit and markdown.

    Raises:
        InvalidInput: An option makes no sense; nothing was asked or sent.
    """
    options = _options(session, given)
    # Refused here, in our words and with our code.
    require_same(make_order(options, session.world.files), session.world.files)
    for path in (given.junit, given.markdown):
        if path and not Path(path).parent.is_dir():
            raise InvalidInput(f"{path}: there is no folder {Path(path).parent}")
    session.out.waiting(f"the gate of phase {options.phase}", LONGEST_S + options.watch)
    document = run_gate(options, {"junit": given.junit, "markdown": given.markdown})
    session.out.waiting("", 0)
    lines = [*document_lines(document), *_baseline(options, int(document["code"]))]
    return Result("\n".join(lines), document, int(document["code"]))


def _baseline(options: GateOptions, code: int) -> list[str]:
    """Say what became of the baseline; nothing for a phase that captures none."""
    if options.phase != CAPTURE:
        return []
    written = f"wrote {options.baseline}; the gates of phases 2 and 3 read it with --baseline"
    return [f"{options.baseline} was not written: only a GO is a baseline" if code else written]


def _options(session: Session, given: Namespace) -> GateOptions:
    instance = session.instance()
    if given.config and given.fingerprint:
        raise InvalidInput("give either --config or --fingerprint, not both")
    # A gateway that was only named by its URL may be anybody's: no file here is its plan.
    ours = bool(given.config or given.home or not given.url) and not given.fingerprint
    known = ours and (given.config or instance.config.exists())
    return GateOptions(
        url=instance.url,
        phase=given.phase,
        config=str(instance.config) if known else "",
        fingerprint=given.fingerprint,
        key=given.key or ("demo" if instance.demo else DEFAULT_KEY),
        model=given.model,
        streams=given.streams,
        criteria=given.criteria,
        evidence=given.evidence,
        baseline=given.baseline,
        approvals=given.approvals,
        watch=given.watch,
        every=given.every,
        systems=given.systems,
        # Where somebody else's gateway keeps its state nobody here knows.
        home=str(instance.home) if given.home or not (given.url or given.config) else "",
    )
