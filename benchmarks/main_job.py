"""Measure the main job: a whole migration, the command line, the gateway starting and recovering.

    python -m benchmarks.main_job [--rounds 5]

Medians; nothing is asserted. Needs the project's environment (`make setup`). Every round has a new
demo deployment in a scratch folder.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent
BARS = {
    "migrate_s": 10.0, "list_ratio": 1.3, "gateway_ready_s": 1.0, "flag_rollback_s": 1.0,
    "worker_replaced_s": 1.0,
}  # fmt: skip


def main() -> int:
    """Print one JSON document and a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    rounds: int = options.parse_args().rounds
    rollbacks = [flag_rollback_s() for _ in range(rounds)]
    rows = {
        "migrate_s": [migration_s() for _ in range(rounds)],
        "gateway_ready_s": [gateway_ready_s() for _ in range(rounds)],
        "flag_rollback_s": [proved for proved, _ in rollbacks],
        "last_client_s": [recovered for _, recovered in rollbacks],
        "worker_replaced_s": [worker_replaced_s() for _ in range(rounds)],
        "list_ratio": [list_ratio() for _ in range(rounds)],
    }
    medians = {name: round(statistics.median(values), 3) for name, values in rows.items()}
    print(json.dumps({
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "rounds": rounds,
        "medians": medians,
        "all": {name: [round(value, 3) for value in values] for name, values in rows.items()},
        "list_ratio_by": "instructions" if counts_instructions() else "time",
    }, indent=2))  # fmt: skip
    for name, median in medians.items():
        print(f"{name:<18} {median:>8}   bar {BARS.get(name, 'none')}", file=sys.stderr)
    return 0


def migration_s() -> float:
    """Return the seconds of one whole `migrate --yes --fix` on a new demo, installation aside."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return timed(
                lambda: run([str(BIN / "cco-migrate"), "migrate", "--yes", "--fix"], scratch)
            )
        finally:
            run([str(BIN / "cco-migrate"), "demo.down"], scratch)


def gateway_ready_s() -> float:
    """Return the seconds from starting the gateway's process to its first answer on /ready."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, _gateway(scratch):
        return time.monotonic() - begun


def flag_rollback_s() -> tuple[float, float]:
    """Return the seconds from an edited flag to its proof, and until the last old worker has ended.

    The file is edited, the daemon is told to reload, and its workers are asked for fingerprints.
    """
    with tempfile.TemporaryDirectory() as scratch:
        flags = Path(scratch) / "config" / "model-overrides.toml"
        flags.parent.mkdir()
        text = '[overrides]\nenabled = true\nrules = [["claude-opus-4-5", "claude-haiku-4-5"]]\n'
        flags.write_text(text)
        with _gateway(scratch, "--workers", "2") as process:
            before = _loaded(scratch)
            begun = time.monotonic()
            flags.write_text(text.replace("true", "false"))
            process.send_signal(signal.SIGHUP)
            _wait(lambda: not _loaded(scratch) & before, process)
            proved = time.monotonic()
            _wait(lambda: not _draining(scratch), process)
            return proved - begun, time.monotonic() - begun


def worker_replaced_s() -> float:
    """Return the seconds from a worker's SIGKILL until another one serves in its place."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        _gateway(scratch, "--workers", "2") as process,
    ):
        before = _serving(scratch)
        worker = psutil.Process(process.pid).children()[0]
        begun = time.monotonic()
        worker.kill()
        _wait(lambda: len(_serving(scratch) - before) == 1, process)
        return time.monotonic() - begun


def list_ratio() -> float:
    """Return the cost of `invoke --list` here over that with an empty tasks file."""
    with tempfile.TemporaryDirectory() as scratch:
        empty = Path(scratch) / "tasks.py"
        empty.write_text("from invoke import Collection\nns = Collection()\n")
        command = [str(BIN / "invoke"), "--list"]
        # the empty one ends with 1, for it has no tasks to list
        return cost(command, str(ROOT)) / cost(command, scratch)


def cost(command: list[str], folder: str) -> float:
    """Return instructions where the machine counts them, else seconds (the best of five)."""
    if not counts_instructions():
        return min(timed(lambda: run(command, folder, ok=(0, 1))) for _ in range(5))
    perf = ["perf", "stat", "-x,", "-e", "instructions:u", *command]
    said = subprocess.run(perf, cwd=folder, capture_output=True, text=True, check=False).stderr
    found = re.search(r"^(\d+),", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"perf counted nothing: {said.strip()}")
    return float(found[1])


def counts_instructions() -> bool:
    """Return whether perf can count instructions on this machine."""
    if shutil.which("perf") is None:
        return False
    probe = ["perf", "stat", "-x,", "-e", "instructions:u", "true"]
    said = subprocess.run(probe, capture_output=True, text=True, check=False).stderr
    return re.search(r"^\d+,", said, re.MULTILINE) is not None


def timed(act: Callable[[], object]) -> float:
    """Return how many seconds something took."""
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def run(command: list[str], folder: str, ok: tuple[int, ...] = (0,)) -> None:
    """Run a command; raises RuntimeError with its output when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in ok:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Return once it is so. Raises RuntimeError when the process ends, or after 30 seconds."""
    until = time.monotonic() + 30
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the gateway ended, or did not come that far")
        time.sleep(0.002)


@contextmanager
def _gateway(home: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a gateway that answers."""
    command = [sys.executable, "-m", "gateway", "run", "--home", home, "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(lambda: _answers(Path(home) / "daemon.pid"), process)
            yield process
        finally:
            process.terminate()


def _loaded(home: str) -> set[str]:
    """Return the fingerprints that the serving workers have loaded."""
    return {row["fingerprint"] for row in _workers(home) if row["state"] == "serving"}


def _serving(home: str) -> set[str]:
    return {row["boot_id"] for row in _workers(home) if row["state"] == "serving"}


def _draining(home: str) -> bool:
    return any(row["state"] == "draining" for row in _workers(home))


def _workers(home: str) -> list[dict[str, str]]:
    port = json.loads((Path(home) / "daemon.pid").read_bytes())["port"]
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/gateway/workers", headers={"connection": "close"})
            rows: list[dict[str, str]] = json.loads(connection.getresponse().read())["workers"]
        except ConnectionError:  # the killed worker had taken it
            continue
        finally:
            connection.close()
        return rows


def _answers(pid_file: Path) -> bool:
    try:
        port = json.loads(pid_file.read_bytes())["gateway_port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, ValueError, KeyError):
        return False


if __name__ == "__main__":
    sys.exit(main())
