"""Measure how planning and dry-running grow with the number of instances.

    python -m benchmarks.plan_scale [--rounds 5]

Each target has files of its own. Its gateway is foreign, so that nothing has to be tried aside, and
one light process on loopback answers for all of them. Every figure is of a fresh process: seconds
per size, and the most memory it held. Medians; nothing is asserted.
"""

from __future__ import annotations

import argparse
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
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cco_migrate import preflight
from cco_migrate.dry_run import dry_run
from cco_migrate.model import DriverSpec, Instance
from cco_migrate.planning import run_preflight
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
            for name in ("seconds", "megabytes")
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
        each = row["seconds"] / size * 1000
        print(
            f"{size:>6} instances  {row['seconds']:>7.3f} s  {each:>6.2f} ms each  "
            f"{row['megabytes']:>6.1f} MB",
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
        begun = time.perf_counter()
        for instance in targets:
            _, plan, lines = run_preflight(session, instance, options)
            preflight.refuse(lines)
            if plan is None:
                raise RuntimeError(f"{instance.home}: no plan was made")
            dry_run(session, plan)
        seconds = time.perf_counter() - begun
        session.world.http.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if platform.system() == "Darwin" else 1024  # macOS counts bytes, Linux KiB
    return {"seconds": seconds, "megabytes": peak * unit / 1e6}


def target(home: Path, url: str) -> Instance:
    """Make one deployment: its own state root and files, the shared gateway."""
    config = home / "config" / "model-overrides.toml"
    config.parent.mkdir(parents=True)
    config.write_bytes(OVERRIDES)
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
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
    return 0


class StandIn(BaseHTTPRequestHandler):
    """A foreign gateway that has seen no traffic."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one segment

    def do_GET(self) -> None:
        """Answer by the table."""
        row = ANSWERS.get(self.path.partition("?")[0])
        body = json.dumps(row if row is not None else {}).encode()
        self.send_response(200 if row is not None else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    sys.exit(main())
