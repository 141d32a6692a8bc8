"""What a gateway cutover looks at before anything is touched: switches, record, the way back."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cco_migrate.checks.configuration import findings
from cco_migrate.checks.daemon_record import (
    SWITCH_KEYS,
    DaemonRecord,
    accepts,
    read_record,
    record_path,
    switches_path,
)
from cco_migrate.checks.sending import resolve_credential
from cco_migrate.checks.switches import faults_of
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput
from cco_migrate.gates.baseline import read_baseline
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.gateway_cutover import SOFT, switches
from cco_migrate.model import Step
from cco_migrate.planning.preflight import Line, Mark, line_of
from cco_migrate.verdict import Severity

STARTING_S = 10.0
ORIGINAL = "config.toml"
"""Name, in the state root, of the original gateway's file; it may hold the switches, too."""


def check_files(inputs: Inputs, context: Context) -> list[Line]:
    """Look at all configuration files, and whether the switches can be edited where they stand."""
    path = switches_path(context)
    if not context.world.files.writable(path.parent):
        text = f"{path.parent}: the directory is not writable for this user"
        return [Line(Mark.FAIL, f"{text}; run as its owner")]
    found = findings(inputs.files, inputs.instance.config, None)
    lines = [
        line_of(one)
        for one in found  # which models the rules name is not this migration's business
        if one.severity is not Severity.NOTE and not one.rule.startswith("override-")
    ]
    return [*lines, *_elsewhere(context)]


def check_record(inputs: Inputs, context: Context) -> list[Line]:
    """Does the daemon's record of its ports agree with its files? Waits while it is starting."""
    today = switches(inputs)
    step = Step(0, "", "", "", {"gateway": today.gateway, "proxy": today.proxy})

    def faults() -> tuple[str, ...]:
        return faults_of(read_record(context), step, inputs.instance)

    context.world.clock.wait_until(lambda: not faults(), STARTING_S)
    record = read_record(context)
    if record is None:
        return [Line(Mark.FAIL, f"{record_path(context)} names no daemon; name its state root "
                     "with --home", next_command="invoke gateway.start")]  # fmt: skip
    if wrong := faults():
        text = f"{'; '.join(wrong)} ({today} in the file)"
        return [Line(Mark.FAIL, text, code=9, next_command="invoke gateway.reload")]
    text = f"{today}: daemon.pid has {_ports(record)}"
    return [Line(Mark.OK, text)]


def check_gate(inputs: Inputs, context: Context) -> list[Line]:
    """Can the gates be held: was phase 1 passed, can their streams be sent?"""
    cutover = inputs.cutover
    lines = _evidence(inputs, context) if cutover.phase == SOFT else []
    if not cutover.streams:
        text = "--streams 0: without verification streams no gate can be GO"
        return [*lines, Line(Mark.WARN, text)]
    try:
        resolve_credential(inputs.verification.credential)
    except InvalidInput as error:
        return [*lines, Line(Mark.FAIL, f"{error}; give the key of the streams with --key")]
    paid = "" if inputs.instance.demo else "; they are billed to the key given"
    text = f"verification: at most {cutover.streams} streams a gate{paid}"
    return [*lines, Line(Mark.OK, text)]


def check_way_back(inputs: Inputs, context: Context) -> list[Line]:
    """Is what the flags go back to alive? A proxy that nobody starts any more is no way back."""
    today, record = switches(inputs), read_record(context)
    if not today.proxy:
        what = "the gateway without the old proxy" if today.gateway else "no way for any client"
        return [Line(Mark.WARN, f"the way back by flag leads to what is there today: {what}")]
    port = record.proxy_port if record else None
    if port is None or not accepts(port):
        text = "proxyEnabled is true, and the old proxy does not serve: there is no way back to it"
        return [Line(Mark.FAIL, text, next_command="invoke gateway.reload")]
    return [Line(Mark.OK, f"way back by flag: the old proxy is alive on port {port}")]


def _evidence(inputs: Inputs, context: Context) -> list[Line]:
    """Say what the gate of phase 2 can lean on beside its own streams."""
    cutover, text = inputs.cutover, "gate of phase 1: held first, before anything is changed"
    if cutover.validated:
        text = f"gate of phase 1: GO on these files in run {cutover.validated}"
    lines = [Line(Mark.OK, text)]
    if inputs.instance.demo:
        text = "demo: of the gate of phase 2, days of traffic and people's words are only observed"
        return [*lines, Line(Mark.NOT_APPLICABLE, text)]
    if not cutover.baseline:
        text = "no --baseline: the gate of phase 2 has no times of the old path to compare with"
        return [*lines, Line(Mark.WARN, f"{text}; capture them with: invoke gate --phase 0")]
    path = Path(cutover.baseline)
    try:
        data = context.world.files.read(path)
        read_baseline(data, path)
    except OSError as error:
        return [*lines, Line(Mark.FAIL, f"--baseline {path}: {error.strerror}")]
    except InvalidInput as error:
        return [*lines, Line(Mark.FAIL, f"--baseline: {error}")]
    return [*lines, Line(Mark.OK, f"baseline of the old path: {path}")]


def _elsewhere(context: Context) -> list[Line]:
    """Refuse switches in the original's file: the two files would disagree after the edit."""
    path = context.instance.home / ORIGINAL
    data = context.world.files.read_if_there(path)
    if data is None:
        return []
    names = _switches_in(data, path)
    if isinstance(names, Line):
        return [names]
    if not names:
        return []
    text = f"{path}: {', '.join(names)} is read from here, too"
    return [Line(Mark.FAIL, f"{text}; move it to {switches_path(context)}")]


def _switches_in(data: bytes, path: Path) -> list[str] | Line:
    try:
        document = tomllib.loads(data.decode())
    except ValueError as error:
        return Line(Mark.FAIL, f"{path}: not valid TOML: {error}")
    return [name for pair in SWITCH_KEYS.items() for name in pair if name in document]


def _ports(record: DaemonRecord) -> str:
    gateway, proxy = (port or "none" for port in (record.gateway_port, record.proxy_port))
    return f"gateway port {gateway}, proxy port {proxy}"
