"""Kills phases 1 and 2 of the gateway cutover at point after point; looks what can be done then.

    python -m tests.kill.cutover validate|switch|rollback process|command FOLDER SHARD SHARDS

`validate` is phase 1, `switch` phase 2 with the gate of phase 1 before it, `rollback` the way back
from there. The gates send their streams to the light gateway and keep what came, and ask no more of
it: what real gates measure is killed in `real_gateway`. Prints one JSON object, as `matrix` does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from cco_migrate.checks.client_requests import small_request
from cco_migrate.checks.daemon_record import accepts
from cco_migrate.checks.held_gate import USES, GateHeld
from cco_migrate.checks.sending import send_requests
from cco_migrate.commands.reporting import reported
from cco_migrate.commands.running import engine_of, note_takeover
from cco_migrate.context import Context
from cco_migrate.demo import free_ports
from cco_migrate.model import JsonObject, Step
from cco_migrate.planning.making import make_plan, nothing_to_do, unchanged
from cco_migrate.runs.journal import Status
from cco_migrate.session import MigrateOptions, Result, Session
from tests.kill.matrix import (
    Deployment,
    Edited,
    Scenario,
    check_end,
    expect,
    rollback,
    run,
    settle,
    status_of,
    tried,
)

SWITCHES = Edited(
    "daemon-config.json",
    old='{"gatewayEnabled": false,  "proxyEnabled":true, "logLevel": "info"}\n',
    new='{"gatewayEnabled": true,  "proxyEnabled":false, "logLevel": "info"}\n',
)
MIGRATION = MigrateOptions(
    kind="gateway-cutover", yes=True, key="env:CCO_KILL_KEY", waive="rollback-rehearsed",
    why="killed on purpose",
)  # fmt: skip


def carried_out(phase: int, session: Session) -> Result:
    """Carry out a phase, or go on with it, as `migrate` does but for the gates."""
    with session.locked("cutover") as lease:
        found = session.store.unfinished()
        if found is not None:
            note_takeover(session, lease, found)
        else:
            plan, _ = make_plan(session, replace(MIGRATION, phase=phase))
            if nothing_to_do(session, plan):
                return unchanged(session, plan)
            found = session.store.create(plan)
        whole = engine_of(session, found, lease)
        engine = replace(whole, checks={**whole.checks, USES: GateHeld(hold)})
        reported(session, found, engine.run)
    return Result(f"run {found.id}")


def hold(step: Step, context: Context) -> JsonObject:
    """Send two streams, keep what came of them in the run's folder, and judge nothing else."""
    phase, credential = step.params["phase"], "none"
    asked = [small_request(step.params["model"], run=context.run, stream=True) for _ in range(2)]
    _, faults, _ = send_requests(context.instance.url, asked, credential, context)
    line = json.dumps({"phase": phase, "faults": faults}).encode() + b"\n"
    context.world.files.append(context.run_dir / f"gate-{phase}.jsonl", line)
    said, verdict = "; ".join(faults) or "both streams were whole", "NO-GO" if faults else "GO"
    return {"phase": phase, "gate": verdict, "said": said, "approvals": "", "criteria": []}


validate, switch = (partial(carried_out, phase) for phase in (1, 2))


def check_ports(deployment: Deployment, text: str) -> None:
    """At the end: these bytes, in force; the record names the ports, and the old proxy lives."""
    check_end(deployment, text)
    new = text == deployment.edited.new

    def record() -> tuple[int | None, bool]:
        row = json.loads((deployment.home / "daemon.pid").read_bytes())
        return row["gateway_port"], row["proxy_port"] is not None and accepts(row["proxy_port"])

    settle(lambda: record() == ((deployment.port, False) if new else (None, True)))


def validated(deployment: Deployment) -> None:
    """A bare rerun ends with the gate passed and nothing changed."""
    expect(run(deployment, validate) == 0, "the rerun failed")
    check_ports(deployment, deployment.edited.old)
    expect(status_of(deployment) is Status.DONE, "the run is not done")


def resumed(deployment: Deployment) -> None:
    """A bare rerun ends at the gateway, and that can be taken back."""
    expect(run(deployment, switch) == 0, "the rerun failed")
    check_ports(deployment, deployment.edited.new)
    expect(status_of(deployment) is Status.DONE, "the run is not done")
    expect(run(deployment, rollback) == 0, "the rollback after the rerun failed")
    check_ports(deployment, deployment.edited.old)


def rolled_back(deployment: Deployment) -> None:
    """A rollback ends on the old path; it refuses only where no run has begun."""
    begun = status_of(deployment) is not None
    code = run(deployment, rollback)
    expect(code == (0 if begun else 8), f"the rollback ended with {code}")
    check_ports(deployment, deployment.edited.old)
    expect(not begun or status_of(deployment) is Status.ROLLED_BACK, "not rolled back")


def scenarios(direction: str) -> Iterator[Scenario]:
    """Return what is killed, what comes before it, and what is tried after it."""
    if direction == "validate":
        yield validate, (), validated
        yield validate, (), rolled_back
    elif direction == "switch":
        yield switch, (), resumed
        yield switch, (), rolled_back
    else:
        yield rollback, (switch,), rolled_back


def main() -> None:
    direction, driver, folder, shard, shards = sys.argv[1:]
    deployment = Deployment(Path(folder).resolve(), driver, free_ports(1)[0], SWITCHES)
    part = slice(int(shard), None, int(shards))
    print(json.dumps(asdict(tried(deployment, direction, scenarios(direction), part))))


if __name__ == "__main__":
    main()
