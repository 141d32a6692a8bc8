"""Fuzz targets, one process each; writes the corpus only with `--keep`.

    python fuzz/run.py --target request.body --runs 1000000 --keep
    python fuzz/run.py --seconds 60                              # all of them, a minute in all

The exit code is 1 when an input broke a law; the input is printed as a line for the corpus.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz import corpus
from fuzz.targets import TARGETS

ROOT = Path(__file__).parents[1]
MAX_BYTES = 2048
ONE_INPUT_S = 10
"""An input that takes longer is a find."""

_DONE = re.compile(r"^Done (\d+) ", re.MULTILINE)
_PROGRESS = re.compile(r"#\d+\t|INFO:|WARNING:")
_LAST = re.compile(r"^#(\d+)\t", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one target.

    Attributes:
        runs: How many inputs it was given.
        find: The input that broke a law; None when none did.
        log: What the engine said.
    """

    target: str
    runs: int
    find: bytes | None
    log: str

    @property
    def report(self) -> str:
        """Return what the engine said, without its progress."""
        return "\n".join(line for line in self.log.splitlines() if not _PROGRESS.match(line))


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz what the command line asks for; return the exit code."""
    options = _parser().parse_args(argv)
    targets = options.target or list(TARGETS)
    limits = [f"-runs={options.runs}"] if options.runs is not None else []
    if options.seconds is not None:
        limits.append(f"-max_total_time={max(1, round(options.seconds / len(targets)))}")
    if not limits:
        print("Say how long: --runs N for each target, or --seconds S in all", file=sys.stderr)
        return 2
    found = 0
    for target in targets:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            outcome = _fuzz(target, Path(folder), limits)
            if options.keep:
                _keep(target, Path(folder))
        took_s = time.monotonic() - begun
        print(f"{target:28} {outcome.runs:>10} runs {took_s:7.1f} s", flush=True)
        if outcome.find is not None:
            found += 1
            print(outcome.report, json.dumps(outcome.find.decode("latin-1")), sep="\n", flush=True)
    print(f"{len(targets) - found} passed, {found} failed")
    return 1 if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="default: all")
    parser.add_argument("--runs", type=int, help="inputs for each target")
    parser.add_argument("--seconds", type=float, help="time for all targets together")
    parser.add_argument("--keep", action="store_true", help="write the minimised corpus")
    return parser


def _fuzz(target: str, folder: Path, limits: Sequence[str]) -> Outcome:
    inputs, finds = folder / "inputs", folder / "finds"
    for made in (inputs, finds):
        made.mkdir()
    for number, data in enumerate(corpus.read(target)):
        (inputs / f"{number:05}").write_bytes(data)
    flags = [f"-max_len={MAX_BYTES}", f"-timeout={ONE_INPUT_S}", f"-artifact_prefix={finds}/"]
    log = _engine(target, [*limits, *flags, str(inputs)])
    find = next((path.read_bytes() for path in finds.iterdir()), None)
    counts = _DONE.findall(log) or _LAST.findall(log) or ["0"]
    return Outcome(target, int(counts[-1]), find, log)


def _keep(target: str, folder: Path) -> None:
    """Write the fewest inputs that still reach everything that was reached."""
    kept = folder / "kept"
    kept.mkdir()
    log = _engine(target, ["-merge=1", f"-max_len={MAX_BYTES}", str(kept), str(folder / "inputs")])
    inputs = [path.read_bytes() for path in kept.iterdir()]
    if not inputs:
        raise RuntimeError(f"{target}: the merge kept nothing; the corpus stays as it was\n{log}")
    corpus.write(target, inputs)


def _engine(target: str, arguments: Sequence[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.engine", target, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
