"""The demo deployment: a real gateway, a loopback upstream, its own state root and free ports."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cco_migrate.checks.client_requests import client_requests
from cco_migrate.checks.sending import send_requests
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.drivers.orphans import adopted, birthmark, born_of, carries_mark, ended
from cco_migrate.drivers.process import ProcessDriver
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.model import DriverSpec, Instance
from cco_migrate.steps.services import await_answer, await_ready, current_workers, replace_workers
from cco_migrate.world import World

DIRECTORY = Path(".cco-demo")
OVERRIDES = """\
# Which models are answered by which. The demo begins with overrides switched off.
[overrides]
enabled = false  # step 4 turns this on

rules = [
    ["claude-sonnet-4.5-20250929", "claude-haiku-4-5-20251001"],
    ["claude-sonnet-4", "claude-haiku-4-5-20251001"],
    ["claude-sonnet-3.5", "claude-haiku-4-5-20251001"],
]

[analytics]
log_overrides = true
track_statistics = true
report_format = "json"
"""
SONNET, OPUS, HAIKU = (
    "claude-sonnet-4-5-20250929",
    "claude-opus-4-5-20251101",
    "claude-haiku-4-5-20251001",
)
MODELS = (*(SONNET,) * 5, OPUS, *(SONNET,) * 5, HAIKU, *(SONNET,) * 5, OPUS, *(SONNET,) * 5, HAIKU)
STREAMED = 12
OLD_PATH = b'{\n  "gatewayEnabled": false,\n  "proxyEnabled": true\n}\n'
"""The daemon-config.json with which all clients still take the old proxy."""
START_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class DemoState:
    """What `demo.json` holds: the ports the demo chose."""

    gateway_port: int
    upstream_port: int


class Demo:
    """The demo deployment under one directory."""

    def __init__(self, directory: Path, world: World) -> None:
        self.root, self.world = directory.resolve(), world
        self.home = self.root / "home"
        self.config = self.home / "config" / "model-overrides.toml"

    @property
    def exists(self) -> bool:
        """Whether it was created."""
        return (self.root / "demo.json").exists()

    def instance(self) -> Instance:
        """Return the gateway instance; raises InvalidInput when the demo was not created."""
        return Instance(
            name="demo",
            url=f"http://127.0.0.1:{self._state().gateway_port}",
            config=self.config,
            home=self.home,
            driver=DriverSpec("process"),
            log=self.home / "daemon.log",
            demo=True,
        )

    def up(
        self,
        waiting: Callable[[str, float], None],
        say: Callable[[str], None],
        *,
        old_path: bool = False,
    ) -> None:
        """Create what is missing, start what does not run, record traffic when there is none.

        Args:
            old_path: Whether clients of a demo that was never cut over take the old proxy.

        Raises:
            ToolkitError: The upstream or the gateway did not start; the message has its last words.
        """
        if not self.exists:
            self._end_forgotten(say)
            self._create()
            say(f"  created {self.root.name}/ with the gateway on {self.instance().url}")
        context = self._context(waiting)
        if self._upstream_found_or_adopted(context) is None:
            self._start_upstream(context)
        driver = ProcessDriver(context)
        if driver.find() is None:
            if adopted(context, driver.find) is None:
                await_ready(context, driver.start())
            else:
                await_answer(context)
            say(f"  started the gateway ({driver.find()}), overrides as its file says")
        if not context.gateway.audit(limit=1):
            requests = client_requests(MODELS, run="before", streamed=STREAMED)
            _, faults, _ = send_requests(context.instance.url, requests, "demo", context)
            if faults:
                raise ToolkitError(f"the demo's first traffic failed: {faults[0]}")
            say(f"  recorded {len(requests)} requests of a demo client before the change")
        if old_path and self.world.files.read_if_there(self._switches) is None:
            self._take_old_path(context)
            say("  sent the demo's clients through the old proxy, as before a cutover")
        waiting("", 0)

    def down(self, say: Callable[[str], None]) -> None:
        """Stop what the demo started, by recorded and identity-checked pid."""
        if not self.exists:
            say("no demo here")
            return
        context = self._context(_nobody_looks)
        driver = ProcessDriver(context)
        if driver.find() or adopted(context, driver.find):
            say(f"stopped the gateway, {driver.stop(30)}")
        if (pid := self._upstream_found_or_adopted(context)) is not None:
            self.world.processes.signal(pid, signal.SIGTERM)
            self.world.clock.wait_until(lambda: self._upstream_pid() is None, 10)
            say(f"stopped the upstream, pid {pid}")

    def _end_forgotten(self, say: Callable[[str], None]) -> None:
        """End what an earlier demo left running when its folder was removed."""
        pids = self.world.processes.carrying(born_of(self.home))
        if pids:
            ended(pids, self.world)
            say(f"  ended {len(pids)} processes of an earlier demo whose folder was removed")

    def _create(self) -> None:
        files = self.world.files
        files.make_directory(self.config.parent)
        state = DemoState(*free_ports(2))
        files.replace(self.config, OVERRIDES.encode())
        orchestra = {
            "llmGateway": {
                "providers": {
                    "anthropic": {
                        "enabled": True,
                        "providerType": "anthropic",
                        "baseUrl": f"http://127.0.0.1:{state.upstream_port}",
                    }
                },
                "routing": {"defaultProvider": "anthropic"},
            }
        }
        text = json.dumps(orchestra, indent=2) + "\n"
        files.replace(self.config.parent / "orchestra-config.json", text.encode())
        row = {"gateway_port": state.gateway_port, "upstream_port": state.upstream_port}
        files.replace(self.root / "demo.json", (json.dumps(row) + "\n").encode())

    @property
    def _switches(self) -> Path:
        return self.config.parent / ConfigName.DAEMON.filename

    def _take_old_path(self, context: Context) -> None:
        found = current_workers(context)
        self.world.files.replace(self._switches, OLD_PATH)
        replace_workers(context, found.generation if found else 0)

    def _start_upstream(self, context: Context) -> None:
        ready = self.root / "upstream.json"
        self.world.files.remove(ready)
        command = self.world.processes.python_module(
            "gateway",
            "demo-upstream",
            "--port",
            str(self._state().upstream_port),
            "--ready-file",
            str(ready),
        )
        log = self.root / "upstream.log"
        process = self.world.processes.spawn(command, log, birthmark(_of_upstream(context)))
        context.waiting("the demo upstream", START_TIMEOUT_S)

        def settled() -> bool:
            return process.poll() is not None or self._upstream_pid() is not None

        if (
            not self.world.clock.wait_until(settled, START_TIMEOUT_S, every_s=0.02)
            or process.poll() is not None
        ):
            lines = log.read_text(errors="replace").strip().splitlines()
            raise ToolkitError(
                f"the demo upstream did not start: {lines[-1] if lines else 'no output'}"
            )

    def _upstream_found_or_adopted(self, context: Context) -> int | None:
        def find() -> str | None:
            pid = self._upstream_pid()
            return None if pid is None else f"pid {pid}"

        if find() is None:
            adopted(_of_upstream(context), find)
        return self._upstream_pid()

    def _upstream_pid(self) -> int | None:
        data = self.world.files.read_if_there(self.root / "upstream.json")
        try:
            row = json.loads(data or b"")
            pid, started_at = int(row["pid"]), datetime.fromisoformat(row["started_at"])
        except (ValueError, KeyError, TypeError):
            return None
        if self.world.processes.same_process(pid, started_at):
            return pid
        return pid if carries_mark(_of_upstream(self._context(_nobody_looks)), pid) else None

    def _state(self) -> DemoState:
        try:
            row = json.loads(self.world.files.read(self.root / "demo.json"))
            return DemoState(row["gateway_port"], row["upstream_port"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"{self.root / 'demo.json'}: not what a demo deployment writes ({error})",
                next_command=f"rm -r {shlex.quote(str(self.root))}, then: invoke demo.up",
            ) from error

    def _context(self, waiting: Callable[[str, float], None]) -> Context:
        return Context(self.world, self.instance(), "demo", self.root, {}, waiting, dict)


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]


def _of_upstream(context: Context) -> Context:
    """Return the surroundings in which the upstream is told from the gateway, when one is lost."""
    return replace(context, run="demo-upstream")


def _nobody_looks(_what: str, _timeout_s: float) -> None:
    return None
