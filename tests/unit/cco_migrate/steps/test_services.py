"""Steps on the service: a new generation is proved, and an old failure is not taken for ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cco_migrate import config
from cco_migrate.context import Context
from cco_migrate.drivers import Started, driver_of
from cco_migrate.errors import ToolkitError
from cco_migrate.model import DriverSpec, Step
from cco_migrate.steps import services
from cco_migrate.steps.services import (
    Converge,
    KeepServing,
    ReplaceWorkers,
    StartService,
    StopService,
    await_ready,
    replace_workers,
)
from cco_migrate.world import Processes

Reply = tuple[int, Mapping[str, str], bytes]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]

STEP = Step(7, "restart", "restart", "service.replace")
OLD = {"finished_at": "2026-11-20T10:00:00Z", "error": "yesterday's mistake"}


def workers(*rows: tuple[int, str, str]) -> list[dict[str, object]]:
    return [
        {"slot": n, "generation": row[0], "boot_id": "b", "fingerprint": row[1], "state": row[2]}
        for n, row in enumerate(rows)
    ]


FIRST = workers((1, "f0", "serving"), (1, "f0", "serving"))
MIXED = workers((1, "f0", "draining"), (2, "f1", "serving"), (1, "f0", "serving"))
SECOND = workers((1, "f0", "draining"), (2, "f1", "serving"), (2, "f1", "serving"))
THIRD = workers((3, "f1", "serving"), (3, "f1", "serving"))
BEFORE_US = 0  # a supervisor that was replaced; no process has this id


@dataclass
class Gateway:
    """Answers `/gateway/workers` with `before`, and with the rows of `after` once `asked()`.

    Attributes:
        late: What workers of the gateway before this one answer, each first of all, and once.
    """

    asked: Callable[[], bool]
    before: Mapping[str, object] = field(default_factory=lambda: {"workers": FIRST})
    after: Sequence[Mapping[str, object]] = ({"workers": MIXED}, {"workers": SECOND})
    health: Mapping[str, object] = field(
        default_factory=lambda: {"status": "ok", "config_fingerprint": "f0"}
    )
    late: list[Mapping[str, object]] = field(default_factory=list)
    turn: int = 0
    probes: int = 0

    def __call__(self, _method: str, target: str, _body: bytes) -> Reply:
        if target == "/ready":
            self.probes += 1
            return 200, {}, b"{}"
        row = self.health
        if target == "/gateway/workers":
            row = self.before
            if self.late:
                row = self.late.pop()
            elif self.asked():
                row = self.after[min(self.turn, len(self.after) - 1)]
                self.turn += 1
        return 200, {}, json.dumps(row).encode()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon where the product gives it a minute."""
    monkeypatch.setattr(services, "READY_TIMEOUT_S", 0.3)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway((tmp_path / "hup").exists)


@pytest.fixture
def context(
    serve: Serve,
    context_at: Callable[[str], Context],
    gateway: Gateway,
    daemon: Callable[[str], int],
) -> Context:
    """A scripted gateway whose supervisor takes SIGHUP."""
    daemon("")
    return context_at(serve(gateway))


def test_replacement_is_done_when_only_the_new_generation_serves(
    context: Context, gateway: Gateway
) -> None:
    action = ReplaceWorkers()
    receipt = action.prepare(STEP, context)
    assert receipt == {"generation": 1}
    outcome = action.apply(STEP, receipt, context)
    assert gateway.turn >= 2  # a mixed set was not enough
    assert outcome.summary.startswith("socket never closed; ")
    assert (outcome.facts["failed_probes"], outcome.facts["downtime_s"]) == (0, 0)
    assert outcome.facts["probes"] == gateway.probes >= 1


def test_failed_replacement_is_told_in_the_gateways_words(
    context: Context, gateway: Gateway
) -> None:
    outcome = {"finished_at": "2026-11-21T10:00:00Z", "error": "port of provider x is missing"}
    gateway.after = ({"workers": FIRST}, {"workers": FIRST, "reload": outcome})
    with pytest.raises(ToolkitError, match="did not get ready: port of provider x") as raised:
        replace_workers(context, 1)
    assert "old workers serve on" in raised.value.state


def test_error_of_an_earlier_reload_is_not_taken_for_ours(
    context: Context, gateway: Gateway
) -> None:
    gateway.before = {"workers": FIRST, "reload": OLD}
    gateway.after = (gateway.before, {"workers": MIXED, "reload": OLD}, {"workers": SECOND})
    assert replace_workers(context, 1).summary.startswith("socket never closed")


def test_workers_of_a_gateway_that_was_replaced_count_for_nothing(
    context: Context, gateway: Gateway, tmp_path: Path
) -> None:
    ours = driver_of(context).pid()
    gateway.late = [{"supervisor": BEFORE_US, "workers": FIRST}]
    gateway.before = {"supervisor": ours, "workers": SECOND}
    failed = {"supervisor": BEFORE_US, "workers": FIRST, "reload": OLD}
    gateway.after = (failed, gateway.before, {"supervisor": ours, "workers": THIRD})
    action = ReplaceWorkers()
    receipt = action.prepare(STEP, context)
    assert receipt == {"generation": 2}
    action.apply(STEP, receipt, context)
    assert (tmp_path / "hup").exists()
    assert gateway.turn >= 3


def test_gateway_of_another_state_root_is_not_told_to_replace(
    context: Context, gateway: Gateway, tmp_path: Path
) -> None:
    gateway.before = {"supervisor": BEFORE_US, "workers": FIRST}
    with pytest.raises(ToolkitError, match="answered by another gateway than pid "):
        replace_workers(context, 1)
    assert not (tmp_path / "hup").exists()


def test_replacement_that_never_comes_ends_in_time(context: Context, gateway: Gateway) -> None:
    gateway.after = ({"workers": FIRST},)
    with pytest.raises(ToolkitError, match="no new workers were ready within 0 s"):
        replace_workers(context, 1)


def test_replacement_that_was_done_before_we_were_killed_is_not_asked_for_again(
    context: Context, gateway: Gateway, tmp_path: Path
) -> None:
    gateway.before = {"workers": SECOND}
    replace_workers(context, 1)
    assert not (tmp_path / "hup").exists()


@pytest.mark.parametrize(
    ("row", "said"),
    [({"other": 1}, "does not say which workers"), ({"workers": [1]}, "another shape")],
)
def test_gateway_that_tells_no_workers_cannot_be_replaced(
    context: Context, gateway: Gateway, row: Mapping[str, object], said: str
) -> None:
    gateway.before = row
    with pytest.raises(ToolkitError, match=said):
        ReplaceWorkers().prepare(STEP, context)


def test_keep_serving_needs_a_gateway_that_can_be_replaced(context: Context) -> None:
    action = KeepServing()
    assert action.apply(STEP, action.prepare(STEP, context), context).facts == {"stopped": False}
    driver_of(context).stop(10)
    with pytest.raises(ToolkitError, match="can be replaced in place"):
        action.prepare(STEP, context)


CONVERGE = Step(
    0, "back-restart", "restart", "service.converge",
    {"overrides_enabled": False, "override_rules": 0, "fingerprint": None},
)  # fmt: skip


def files_fingerprint(context: Context) -> str:
    return config.fingerprint(context.config_files())


def converged(context: Context) -> object:
    action = Converge()
    return action.apply(CONVERGE, action.prepare(CONVERGE, context), context).facts["how"]


def test_converge_does_nothing_when_every_worker_runs_the_files(
    context: Context, gateway: Gateway, tmp_path: Path
) -> None:
    mark = files_fingerprint(context)
    gateway.before = {"workers": workers((1, mark, "serving"), (1, mark, "serving"))}
    assert converged(context) == "none"
    assert not (tmp_path / "hup").exists()


@pytest.mark.parametrize("kind", ["one stale worker", "no worker serves", "draining"])
def test_converge_replaces_what_does_not_run_the_files(
    context: Context, gateway: Gateway, kind: str
) -> None:
    mark = files_fingerprint(context)
    rows = {
        "one stale worker": workers((1, mark, "serving"), (1, "f0", "serving")),
        "no worker serves": workers((1, mark, "starting")),
        "draining": workers((1, mark, "serving")),
    }
    gateway.before = {"workers": rows[kind]}
    if kind == "draining":
        gateway.health = {"status": "draining", "config_fingerprint": mark}
    assert converged(context) == "replace"


def command(context: Context, **commands: str) -> Context:
    spec = DriverSpec("command", **commands)
    return replace(context, instance=replace(context.instance, driver=spec))


@pytest.mark.parametrize(("enabled", "how"), [(False, "none"), (True, "restart")])
def test_converge_judges_a_foreign_gateway_by_its_flag(
    context: Context, gateway: Gateway, enabled: bool, how: str
) -> None:
    gateway.health = {"status": "ok", "overrides_enabled": enabled}
    assert converged(command(context, restart="true")) == how


class Moving(Processes):
    """Puts a pid file in its place instead of starting a gateway."""

    def __init__(self, path: Path, place: Path) -> None:
        self.path, self.place = path, place

    def spawn(
        self, command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        process = super().spawn(["mv", str(self.path), str(self.place)], output, environment)
        process.wait(60)
        return process


def test_converge_starts_what_does_not_run(context: Context, gateway: Gateway) -> None:
    place = context.instance.home / "daemon.pid"
    aside = place.rename(place.with_name("aside"))
    world = replace(context.world, processes=Moving(aside, place))
    assert converged(replace(context, world=world)) == "start"
    assert gateway.turn == 0


def test_stop_notes_when_the_last_answer_was_possible(context: Context) -> None:
    action = StopService()
    receipt = action.prepare(STEP, context)
    assert str(receipt["found"]).startswith("pid ")
    facts = action.apply(STEP, receipt, context).facts
    assert facts["stopped"] is True
    again = action.apply(STEP, receipt, context)  # killed and resumed: nothing runs any more
    assert again.summary == "already stopped"


def test_start_measures_the_downtime_from_the_stop(context: Context) -> None:
    since = context.world.clock.now().replace(year=2025).isoformat()
    stopped = replace(command(context, restart="true"), evidence={"stop": {"stopping_at": since}})
    outcome = StartService().apply(STEP, {}, stopped)
    assert float(str(outcome.facts["downtime_s"])) > 86400


def test_start_of_what_answers_already_waits_until_it_is_ready(
    context: Context, gateway: Gateway
) -> None:
    """A resumed run finds the gateway it started before it was killed."""
    gateway.health = {"status": "starting"}
    with pytest.raises(ToolkitError, match="was not ready within 0 s"):
        StartService().apply(STEP, {}, context)
    gateway.health = {"status": "ok"}
    assert StartService().apply(STEP, {}, context).summary.startswith("ready; ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sh", "-c", "echo address in use; exit 1"], "died at start: .*exit status 1: address"),
        (["sleep", "600"], "was not ready within 0 s; it said: nothing"),
    ],
)
def test_start_that_is_never_ready_is_explained(
    context: Context, gateway: Gateway, words: list[str], said: str
) -> None:
    gateway.health = {"status": "draining"}
    log = context.run_dir / "service.log"
    process = context.world.processes.spawn(words, log)
    try:
        with pytest.raises(ToolkitError, match=said):
            await_ready(context, Started(process, log, 0))
    finally:
        process.kill()
        process.wait()


def test_restart_command_is_believed_only_after_it_ended(context: Context, tmp_path: Path) -> None:
    """The old process answers while the restart command still works."""
    fifo = tmp_path / "fifo"
    process = context.world.processes.spawn(
        ["sh", "-c", f"mkfifo {fifo}; cat {fifo}"], context.run_dir / "service.log"
    )
    started = Started(process, context.run_dir / "service.log", 0)
    assert context.world.clock.wait_until(fifo.exists, 60, every_s=0.005)
    with pytest.raises(ToolkitError, match="was not ready"):
        await_ready(context, started, answers_from_before=True)
    fifo.write_text("")
    process.wait(60)
    await_ready(context, started, answers_from_before=True)
    assert started.failure() is None
