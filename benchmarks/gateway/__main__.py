"""Command line of the gateway's benchmark: `python -m benchmarks.gateway`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gateway.counters import Choice, choose
from benchmarks.gateway.errors import BenchError
from benchmarks.gateway.figures import Row, document, missed, table
from benchmarks.gateway.loads import Bench
from benchmarks.gateway.measures import MEASURES, rows
from benchmarks.gateway.programs import required, version
from benchmarks.gateway.subjects import canned_upstream, paced_upstream


def main() -> int:
    """Print one JSON document, and a table on standard error; return the exit code."""
    options = _parser().parse_args()
    try:
        _require()
        found = _measured(options)
    except BenchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2))
    passed = [] if options.check is None else missed(found["rows"], options.check)
    for line in passed:
        print(f"missed: {line}", file=sys.stderr)
    return 3 if passed else 0


def _require() -> None:
    """Raise BenchError for what is missing before anything is started."""
    if sys.platform != "linux":
        raise BenchError("the benchmark reads /proc, which only Linux has")
    for program in ("nginx", "wrk"):
        required(program)


def _measured(options: argparse.Namespace) -> dict[str, Any]:  # Any: JSON
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bench = Bench(
            counter=choose(Choice(options.counter), scratch),
            rounds=options.rounds,
            canned=stack.enter_context(canned_upstream()).address,
            paced=stack.enter_context(paced_upstream()).address,
            scratch=scratch,
        )
        print(f"instructions by {bench.counter.name}, user mode only", file=sys.stderr)
        found: list[Row] = []
        for row in rows(bench, options.only or MEASURES):
            found.append(row)
            print(f"  {row.key}: {row.gateway:g}", file=sys.stderr)
    print(table(found), file=sys.stderr)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "nginx": version("nginx", "-v"),
        "counter": bench.counter.name,
        "rounds": bench.rounds,
        "rows": document(found),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--rounds", type=_positive, default=5, help="of each figure; the median counts"
    )
    parser.add_argument("--counter", choices=[*Choice], default=Choice.AUTO)
    parser.add_argument(
        "--check",
        type=_positive_real,
        nargs="?",
        const=1.0,
        metavar="FACTOR",
        help="exit 3 when a figure misses its bar by more than this factor (default 1)",
    )
    parser.add_argument("--only", action="append", choices=[*MEASURES], help="may be repeated")
    return parser


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a number of rounds")
    return number


def _positive_real(word: str) -> float:
    number = float(word)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{word} is no factor")
    return number


if __name__ == "__main__":
    sys.exit(main())
