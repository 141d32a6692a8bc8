"""Measure how planning and dry-running grow with the number of instances.

    python -m benchmarks.plan_scale [--rounds 5]

Each target has files of its own, no two alike. Its gateway is foreign, so that nothing has to be
tried aside, and one light process on loopback answers for all of them. Every figure is of a fresh
process: seconds by the clock and of a core, modules imported meanwhile included, and the most
memory it held. Medians; nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from cco_migrate.model import DriverSpec, Instance
from cco_migrate.one_look import one_look
from cco_migrate.planning import preflight
from cco_migrate.planning.dry_run import dry_run
from cco_migrate.planning.making import run_preflight
from cco_migrate.progress import Output
from cco_migrate.session import MigrateOptions, Session
from cco_migrate.target import Target

SIZES = (10, 100, 1000)
BARS = {"seconds": 10.0, "megabytes": 200.0}
KEY = "BENCH_KEY"
OVERRIDES = b"""\
[overrides]
enabled = false  # until the review
rules = [["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"]]
"""
ANSWERS: Mapping[str, object] = {
    "/health": {"status": "ok", "overrides_enabled": False, "override_rules": 1},
    "/api/overrides/stats": {"total_overrides": 0, "overrides_by_model": {}},
    "/api/machine/stats": {"models": []},
}
"""What the stand-in says; all else is not found."""


def main() -> int:
    """Print one JSON document and a table; as a child, measure one size or serve."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--child", nargs=2, metavar=("SIZE", "URL"))
    options.add_argument("--serve", action="store_true")
    given = options.parse_args()
    if given.serve:
        return serve()
    if given.child:
        print(json.dumps(measure(int(given.child[0]), given.child[1])))
        return 0
    with gateway() as url:
        rows = {size: [child(size, url) for _ in range(given.rounds)] for size in SIZES}
    medians = {
        size: {
            name: round(statistics.median(one[name] for one in found), 3)
            for name in ("seconds", "cpu_s", "megabytes")
        }
        for size, found in rows.items()
    }
    print(json.dumps({
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "rounds": given.rounds,
        "medians": medians,
        "bars": BARS,
    }, indent=2))  # fmt: skip
    for size, row in medians.items():
        each = row["cpu_s"] / size * 1000
        print(
            f"{size:>6} instances  {row['seconds']:>7.3f} s  {row['cpu_s']:>7.3f} s of a core  "
            f"{each:>6.2f} ms each  {row['megabytes']:>6.1f} MB",
            file=sys.stderr,
        )
    bars = f"{BARS['seconds']} s and {BARS['megabytes']} MB"
    print(f"bars at {SIZES[-1]}: {bars}", file=sys.stderr)
    return 0


def measure(size: int, url: str) -> dict[str, float]:
    """Plan and dry-run so many targets in this process."""
    os.environ[KEY] = "not-a-real-key"
    options = MigrateOptions(key=f"env:{KEY}")
    with tempfile.TemporaryDirectory() as folder, Output(quiet=True) as out:
        targets = [target(Path(folder) / str(number), url) for number in range(size)]
        session = Session(Target(home=folder), out)
        begun, worked = time.perf_counter(), time.process_time()
        for instance in targets:
            look = replace(session, world=one_look(session.world))  # as `migrate --dry-run` does
            _, plan, lines = run_preflight(look, instance, options)
            preflight.refuse(lines)
            if plan is None:
                raise RuntimeError(f"{instance.home}: no plan was made")
            dry_run(look, plan)
        seconds, cpu_s = time.perf_counter() - begun, time.process_time() - worked
        session.world.http.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if platform.system() == "Darwin" else 1024  # macOS counts bytes, Linux KiB
    return {"seconds": seconds, "cpu_s": cpu_s, "megabytes": peak * unit / 1e6}


def target(home: Path, url: str) -> Instance:
    """Make one deployment: its own state root and files, the shared gateway."""
    config = home / "config" / "model-overrides.toml"
    config.parent.mkdir(parents=True)
    config.write_bytes(b"# gateway %b\n" % home.name.encode() + OVERRIDES)
    driver = DriverSpec("command", stop="stop-it", start="start-it")
    return Instance(home.name, url, config, home, driver)


def child(size: int, url: str) -> dict[str, float]:
    """Measure one size in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.plan_scale", "--child", str(size), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


@contextmanager
def gateway() -> Iterator[str]:
    """Run the stand-in in a process of its own; give its URL."""
    command = [sys.executable, "-m", "benchmarks.plan_scale", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the stand-in has no output")
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def serve() -> int:
    """Answer until terminated; the first line of output is the URL."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
    return 0


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(StandIn, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


class StandIn(asyncio.Protocol):
    """A foreign gateway that has seen no traffic; it costs little beside what is measured."""

    def __init__(self) -> None:
        self._unanswered = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(asyncio.Transport, transport)  # what a server's connections have

    def data_received(self, data: bytes) -> None:
        """Answer every whole request by the table; a GET has no body."""
        *heads, self._unanswered = (self._unanswered + data).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ", 2)[1].partition(b"?")[0].decode("ascii")
            row = ANSWERS.get(path)
            status = b"404 Not Found" if row is None else b"200 OK"
            body = json.dumps(row or {}).encode()
            length = b"content-length: %d" % len(body)
            self._transport.write(b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, length, body))


if __name__ == "__main__":
    sys.exit(main())
