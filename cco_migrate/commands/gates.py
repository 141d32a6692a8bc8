"""The gate of a phase as commands: what was typed becomes a run of its tests, or a word for it."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from cco_migrate.errors import InvalidInput
from cco_migrate.gates import runbook
from cco_migrate.gates.approvals import FILENAME, approval_line, read_approvals
from cco_migrate.gates.evidence_file import require_same
from cco_migrate.gates.evidence_lock import require_free
from cco_migrate.gates.order import GateOptions, make_order
from cco_migrate.gates.phases import CAPTURE
from cco_migrate.gates.rendering import document_lines
from cco_migrate.gates.running import run_gate
from cco_migrate.judge.attestations import Attestation
from cco_migrate.probes.footprint import recorded_gateway
from cco_migrate.runs import attestations
from cco_migrate.session import Result, Session, shown

DEFAULT_KEY = "env:ANTHROPIC_API_KEY"
LONGEST_S = 600.0
_TYPED = (
    "phase", "fingerprint", "model", "streams", "criteria", "evidence", "baseline", "watch",
    "every", "systems", "proxy",
)  # fmt: skip


def gate(session: Session, given: Namespace) -> Result:
    """Judge a phase; the verdict is the exit code.

    Args:
        given: What was typed: the options of GateOptions, with junit and markdown.

    Raises:
        InvalidInput: An option makes no sense; nothing was asked or sent.
        LockHeld: Another gate measures on the same evidence; nothing was asked or sent.
    """
    options = _options(session, given)
    order = make_order(options, session.world.files)
    # Refused here, in our words and with our codes.
    require_same(order, session.world.files)
    require_free(order.evidence)
    for path in (given.junit, given.markdown):
        if path and not Path(path).parent.is_dir():
            raise InvalidInput(f"{path}: there is no folder {Path(path).parent}")
    session.out.waiting(f"the gate of phase {options.phase}", LONGEST_S + options.watch)
    document = run_gate(options, {"junit": given.junit, "markdown": given.markdown})
    session.out.waiting("", 0)
    lines = [*document_lines(document), *_baseline(options, int(document["code"]))]
    return Result("\n".join(lines), document, int(document["code"]))


def approve(session: Session, given: Namespace) -> Result:
    """Append a person's word to a file that gates read; no run is needed.

    Args:
        given: What was typed: gate, by_, scope, expires, count, of; out, the file, "" for that of
            the state root.

    Raises:
        InvalidInput: Something is missing, no gate asks for it, or the file holds anything else.
    """
    files, now = session.world.files, session.world.clock.now()
    path = Path(given.out).expanduser() if given.out else approvals_of(session)
    by, scope, expires = attestations.whole_word(given.gate, given.by_, given.scope, given.expires)
    until = attestations.parse_expiry(expires, now)
    word = Attestation(by, now, scope, until, counted=_counted(given))
    line = approval_line(given.gate, word)
    try:
        if not given.out:
            files.make_directory(path.parent)
        before = files.read_if_there(path) or b""
        read_approvals(before, path)  # a broken line would make the gate refuse all of them
        torn = before and not before.endswith(b"\n")
        files.append(path, b"\n" + line if torn else line)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}; the approval was not recorded") from error
    said = f"{given.count} of {given.of} counted" if word.counted else "approved"
    text = f"{given.gate} {said} by {by} for {scope}, until {until.isoformat(timespec='seconds')}; "
    reads = "give it to the gate with: --approvals " if given.out else "gates here read it in "
    document = {"schema_version": 1, "file": str(path), "approval": json.loads(line)}
    return Result(f"{text}{reads}{shown(path)}", document)


def approvals_of(session: Session) -> Path:
    """Return the file of the state root in which gates read what people say; it may not exist."""
    return session.home / "migrate" / FILENAME


def show_runbook() -> Result:
    """Render the runbook of the gates."""
    text = runbook.render()
    return Result(text.rstrip(), {"schema_version": 1, "kind": "gates", "markdown": text})


def _baseline(options: GateOptions, code: int) -> list[str]:
    """Say what became of the baseline; nothing for a phase that captures none."""
    if options.phase != CAPTURE:
        return []
    written = f"wrote {options.baseline}; the gates of phases 2 and 3 read it with --baseline"
    return [f"{options.baseline} was not written: only a GO is a baseline" if code else written]


def _counted(given: Namespace) -> tuple[int, int] | None:
    """Return the figures that were typed; None when none were."""
    if not (given.count or given.of):
        return None
    try:
        return int(given.count), int(given.of)
    except ValueError as error:
        raise InvalidInput(
            f"--count {given.count} --of {given.of}: write two whole numbers"
        ) from error


def _options(session: Session, given: Namespace) -> GateOptions:
    if given.config and given.fingerprint:
        raise InvalidInput("give either --config or --fingerprint, not both")
    store = approvals_of(session)
    kept = str(store) if session.world.files.read_if_there(store) is not None else ""
    typed = {name: getattr(given, name) for name in _TYPED}
    asked = GateOptions(given.url, approvals=given.approvals or kept, **typed)
    return _old_path(session, given, asked) if given.proxy else _gateway(session, given, asked)


def _gateway(session: Session, given: Namespace, asked: GateOptions) -> GateOptions:
    """Return the order for the gateway of the target."""
    instance = session.instance()
    # A gateway that was only named by its URL may be anybody's: no file here is its plan.
    ours = bool(given.config or given.home or not given.url) and not given.fingerprint
    known = ours and (given.config or instance.config.exists())
    return replace(
        asked,
        url=instance.url,
        config=str(instance.config) if known else "",
        key=given.key or ("demo" if instance.demo else DEFAULT_KEY),
        # Where somebody else's gateway keeps its state nobody here knows.
        home=str(instance.home) if given.home or not (given.url or given.config) else "",
    )


def _old_path(session: Session, given: Namespace, asked: GateOptions) -> GateOptions:
    """Return the order for a provider behind the old proxy, and for the gateway of this machine."""
    if not given.url:
        raise InvalidInput(
            "--proxy: name with --url whom clients ask through it, e.g. https://api.anthropic.com"
        )
    beside = recorded_gateway(session.home, session.world) or ""
    return replace(asked, key=given.key or DEFAULT_KEY, beside=beside)
