"""The cutover as planning sees it: what counts as validated, and when nothing is left to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.gateway_cutover import plan
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.planning import cutover_kind
from cco_migrate.planning.cutover_kind import VALIDATED_FOR, ask, is_done, restored
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import RunStore
from cco_migrate.session import MigrateOptions
from cco_migrate.world import Clock, World

NEW = b'{"gatewayEnabled": true, "proxyEnabled": false}'
PHASE_2 = MigrateOptions(kind="gateway-cutover", phase=2)


class Later(Clock):
    """A clock that is some time ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


def inputs_of(context: Context, data: bytes | None = NEW, phase: int = 2) -> Inputs:
    files = dict.fromkeys(ConfigName, None) | {ConfigName.DAEMON: data}
    return Inputs(
        context.instance, files, fix=False, replace=True, known_models=(),
        verification=Verification(), cutover=Cutover(phase=phase),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "phase", "data", "ahead", "counts"),
    [
        (Event.FINISHED, 1, NEW, timedelta(), True),
        (Event.FINISHED, 1, NEW, VALIDATED_FOR + timedelta(minutes=1), False),
        (Event.FINISHED, 1, b"{}", timedelta(), False),  # of other files
        (Event.FINISHED, 2, NEW, timedelta(), False),  # of another phase
        (Event.ROLLED_BACK, 1, NEW, timedelta(), False),
    ],
)
def test_gate_of_phase_1_counts_when_it_was_go_on_these_files_of_late(
    context_at: Callable[[str], Context],
    event: Event,
    phase: int,
    data: bytes,
    ahead: timedelta,
    counts: bool,
) -> None:
    context = context_at("http://127.0.0.1:3000")
    store = RunStore(context.instance.migrate_dir, context.world)
    run = store.create(plan(inputs_of(context, data, phase)))
    run.journal.append(event, reason="GO")
    context = replace(context, world=replace(context.world, clock=Later(ahead)))
    asked = ask(inputs_of(context), PHASE_2, context, store)
    assert asked.cutover.validated == (run.id if counts else "")
    assert asked.verification.credential == "env:ANTHROPIC_API_KEY"


def test_validation_always_holds_its_gate(
    context_at: Callable[[str], Context], world: World
) -> None:
    context = context_at("http://127.0.0.1:3000")
    store = RunStore(context.instance.migrate_dir, world)
    store.create(plan(inputs_of(context, phase=1))).journal.append(Event.FINISHED, reason="GO")
    asked = ask(inputs_of(context), replace(PHASE_2, phase=1), context, store)
    assert asked.cutover.validated == ""
    assert not is_done(plan(asked), context)


@pytest.mark.parametrize(
    ("data", "loaded", "proxy_port", "done"),
    [
        (NEW, True, None, True),
        (NEW, False, None, False),
        (NEW, True, 9, False),
        (b'{"proxyEnabled": true}', True, None, False),
    ],
)
def test_cutover_is_done_when_it_is_loaded_and_the_ports_say_so(
    context_at: Callable[[str], Context],
    serve: Callable[..., str],
    data: bytes,
    loaded: bool,
    proxy_port: int | None,
    done: bool,
) -> None:
    made = plan(inputs_of(context_at("http://127.0.0.1:3000"), data))
    worker = {"slot": 0, "generation": 1, "boot_id": "b", "state": "serving",
              "fingerprint": made.fingerprint_after if loaded else "other"}  # fmt: skip
    url = serve(lambda *_: (200, {}, json.dumps({"workers": [worker]}).encode()))
    context = context_at(url)
    port = int(url.rpartition(":")[2])
    record = {"port": port, "gateway_port": port, "proxy_port": proxy_port}
    (context.instance.home / "daemon.pid").write_text(json.dumps(record))
    assert is_done(made, context) is done


def test_what_the_way_back_proved_is_told(context_at: Callable[[str], Context]) -> None:
    context = context_at("http://127.0.0.1:3000")
    told = [restored(plan(inputs_of(context, b"{}", phase))) for phase in (1, 2)]
    assert told[0] == "nothing had been changed"
    assert "gatewayEnabled: true, proxyEnabled: false proved" in told[1]
    assert cutover_kind.check_files(inputs_of(context), context) == []
