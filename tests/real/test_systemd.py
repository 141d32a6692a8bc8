"""The unit files under a real systemd: start, reload, replace, restart under load, crash, stop.

systemd runs as process 1 of namespaces of its own, with copies of the few units it needs, so that
the machine's own units are left alone. The network is the machine's.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.gateway.bodies import Pace
from benchmarks.gateway.programs import Address, free_port
from benchmarks.gateway.subjects import paced_upstream
from benchmarks.gateway.turnover import TurnoverLoad, bear
from cco_migrate import resources

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "templates" / "systemd"
PROGRAM = Path(sys.executable).parent / "cco-gateway"
DISTRIBUTION = Path("/lib/systemd/system")
HOME = "/run/toy/home"
DEADLINE_S = 120.0

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

COPIED = (
    "systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket",
    "sockets.target", "multi-user.target", "shutdown.target",
)  # fmt: skip
WRITTEN = {
    "sysinit.target": "[Unit]\nWants=systemd-journald.service\nAfter=systemd-journald.service\n",
    "basic.target": "[Unit]\nRequires=sysinit.target\nWants=sockets.target\n"
    "After=sysinit.target sockets.target\n",
}
DROP_IN = f"""
[Service]
User=root
Environment=CCO_HOME={HOME}
ExecStart=
ExecStart={PROGRAM} run
ExecReload=
ExecReload={PROGRAM} reload
WatchdogSec=10
TimeoutStopSec=60
StateDirectory=
ProtectSystem=no
ProtectHome=no
PrivateTmp=no
"""
FIRST_PROCESS = """
set -e
mount --make-rprivate / ; mount -t proc proc /proc
for folder in /run /var/log /etc/systemd/system; do mount -t tmpfs tmpfs $folder; done
mkdir -p /run/toy ; tar -C /run/toy -xf /proc/self/fd/0 ; exec < /dev/null
umount -l /sys/fs/cgroup ; mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i container=unshare SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/toy/units \
  PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=multi-user.target --show-status=0
"""
LOAD = TurnoverLoad(requests=1000, fresh=4, kept=4, streams=20, pace=Pace(deltas=40, every_ms=50))


def until(condition: Callable[[], Any]) -> Any:  # Any: whatever truth the condition finds
    """Return the condition's first true value; other processes offer nothing to wait on."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.05)
    return value


class Machine:
    """A running systemd, and the gateway's units in it."""

    def __init__(self, first_process: int, port: int) -> None:
        self._first_process, self.port = first_process, port

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        inside = ("nsenter", "-t", str(self._first_process), "-m", "-p", "-C", "-i", "-u")
        return subprocess.run(
            [*inside, *words], capture_output=True, text=True, check=False, timeout=120, input=given
        )

    def good(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}{self.journal()}"
        return done.stdout

    def show(self, name: str) -> str:
        return self.good("systemctl", "show", "--value", "-p", name, "cco-gateway").strip()

    def write(self, name: str, text: str) -> None:
        assert self.run("tee", f"{HOME}/config/{name}", given=text).returncode == 0

    def journal(self) -> str:
        return self.run("journalctl", "-u", "cco-gateway", "-o", "cat", "--no-pager").stdout

    def get(self, path: str) -> Any:  # Any: parsed JSON
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request("GET", path, headers={"connection": "close"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def own_cgroup() -> Iterator[Path]:
    """Make a cgroup, for systemd wants to be alone in its own; remove all of it after."""
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    root = next((Path(line[1]) for line in lines if line[2] == "cgroup2"), None)
    assert root is not None, "no cgroup2 is mounted"
    made = root / f"cco-test-{time.monotonic_ns()}"
    made.mkdir()
    try:
        yield made
    finally:
        folders = sorted((one for one in made.rglob("*") if one.is_dir()), reverse=True)
        for folder in (*folders, made):
            until(partial(is_empty, folder))
            folder.rmdir()


def is_empty(cgroup: Path) -> bool:
    return not (cgroup / "cgroup.procs").read_text()


def archive(port: int, upstream: Address) -> bytes:
    """Return what the first process unpacks: units and configuration."""
    provider = {"providerType": "anthropic", "baseUrl": f"http://{upstream}"}
    files = {f"units/{name}": (DISTRIBUTION / name).read_text() for name in COPIED}
    files |= {f"units/{name}": text for name, text in WRITTEN.items()}
    files |= {
        "units/cco-gateway.service": (UNITS / "cco-gateway.service").read_text(),
        "units/cco-gateway.service.d/test.conf": DROP_IN,
        "units/cco-gateway.socket": (UNITS / "cco-gateway.socket")
        .read_text()
        .replace("ListenStream=127.0.0.1:3000", f"ListenStream=127.0.0.1:{port}"),
        "home/config/orchestra-config.json": json.dumps(
            {"llmGateway": {"providers": {"anthropic": provider}}}
        ),
        "home/config/gateway.toml": "[server]\nlinger_s = 20\ndrain_s = 30\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot, and start socket and service."""
    for program in ("unshare", "nsenter", "/lib/systemd/systemd"):
        assert shutil.which(program), f"{program} is not installed; .ci/run installs it"
    folder, port = tmp_path_factory.mktemp("systemd"), free_port()
    (folder / "first").write_text(FIRST_PROCESS)
    with paced_upstream() as upstream, own_cgroup() as cgroup:
        (folder / "units.tar").write_bytes(archive(port, upstream.address))
        options = "--pid --mount --cgroup --ipc --uts --fork --kill-child=KILL"
        script = f"echo $$ > {cgroup}/cgroup.procs && exec unshare {options} bash {folder}/first"
        with (folder / "units.tar").open("rb") as units, (folder / "log").open("wb") as log:
            process = subprocess.Popen(["bash", "-c", script], stdin=units, stdout=log, stderr=log)
        try:
            (first,) = until(lambda: psutil.Process(process.pid).children())
            made = Machine(first.pid, port)
            until(lambda: made.run("systemctl", "is-system-running").stdout == "running\n")
            made.good("systemctl", "start", "cco-gateway.socket", "cco-gateway.service")
            yield made
        finally:
            process.kill()  # and with it the first process, and with that all others
            process.wait()


def test_units_are_free_of_faults(tmp_path: Path) -> None:
    for name in ("cco-gateway.service", "cco-gateway.socket"):
        text = (UNITS / name).read_text().replace("/opt/cco/bin/cco-gateway", str(PROGRAM))
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in ("cco-gateway.service", "cco-gateway.socket")]
    done = subprocess.run(
        ["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_service_is_ready_when_it_serves_on_the_socket_of_its_unit(machine: Machine) -> None:
    assert machine.show("ActiveState") == "active"
    assert machine.show("StatusText").startswith(f"serving on http://127.0.0.1:{machine.port}, ")
    assert machine.get("/gateway/workers")["workers"][0]["state"] == "serving"
    assert f"CCO started on http://127.0.0.1:{machine.port}" in machine.journal()


def test_reload_waits_for_the_outcome_and_fails_with_a_bad_file(machine: Machine) -> None:
    before = machine.get("/health")["config_fingerprint"]
    machine.write("model-overrides.toml", "[overrides]\nenabled = true\nrules = []\n")
    machine.good("systemctl", "reload", "cco-gateway")
    after = machine.get("/health")["config_fingerprint"]
    assert after != before
    machine.write("model-overrides.toml", "[overrides]\nenabled = maybe\n")
    assert machine.run("systemctl", "reload", "cco-gateway").returncode != 0
    assert machine.show("ActiveState") == "active"
    assert machine.get("/health")["config_fingerprint"] == after
    machine.write("model-overrides.toml", "[overrides]\nenabled = false\nrules = []\n")
    machine.good("systemctl", "reload", "cco-gateway")


def test_replacement_becomes_the_main_process(machine: Machine) -> None:
    before = machine.show("MainPID")
    machine.good("env", f"CCO_HOME={HOME}", str(PROGRAM), "replace")
    until(lambda: machine.show("MainPID") != before)
    assert json.loads(machine.good("cat", f"{HOME}/daemon.pid"))["pid"] == int(
        machine.show("MainPID")
    )
    assert machine.show("ActiveState") == "active"
    assert machine.show("NRestarts") == "0"
    assert "reception only permitted" not in machine.good("journalctl", "--no-pager", "-o", "cat")


def test_restarts_reloads_and_replacements_under_load_lose_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    def turn() -> None:
        for _ in range(2):
            machine.good("systemctl", "restart", "cco-gateway")
            machine.good("systemctl", "reload", "cco-gateway")
            machine.good("env", f"CCO_HOME={HOME}", str(PROGRAM), "replace")

    report = asyncio.run(bear(Address(machine.port), LOAD, turn))
    with capsys.disabled():
        print(f"\nsystemd: 2 restarts, 2 reloads, 2 replacements: {report}")
    assert (report.failures, report.broken, report.faults.total) == ({}, 0, 0), machine.journal()
    assert report.answered >= LOAD.requests
    assert machine.show("NRestarts") == "0"  # the watchdog heard of each main process


def test_killed_service_is_started_again_and_the_socket_waits(machine: Machine) -> None:
    machine.good("systemctl", "kill", "--kill-whom=main", f"--signal={int(signal.SIGKILL)}",
                 "cco-gateway")  # fmt: skip
    until(lambda: machine.show("NRestarts") == "1")
    assert machine.get("/health")["status"] == "ok"  # waits in the socket until it is answered
    until(lambda: machine.show("ActiveState") == "active")


def test_commands_of_the_runbooks_stop_and_start_the_service(machine: Machine) -> None:
    texts = [path.read_text() for path in sorted((resources.ROOT / "runbooks").iterdir())]
    found = {one for text in texts for one in re.findall(r"^systemctl .+$", text, re.MULTILINE)}
    start, stop = sorted(found)
    machine.good("sh", "-c", stop)
    assert machine.show("ActiveState") == "inactive"
    machine.good("sh", "-c", start)
    assert machine.show("ActiveState") == "active"
    assert machine.get("/health")["status"] == "ok"


def test_stop_closes_the_port(machine: Machine) -> None:
    machine.good("systemctl", "stop", "cco-gateway.socket", "cco-gateway.service")
    assert machine.show("Result") == "success"
    assert machine.show("MainPID") == "0"
    assert " INFO stopped pid=" in machine.journal()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", machine.port), timeout=5).close()
