"""The checked-in inputs of each target: one file a target, one input a line; reads and writes.

`corpus` holds the fewest inputs that reach all that was reached, and is written by the fuzzer;
`finds` holds those that once broke a law, and is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
FINDS = Path(__file__).parent / "finds"


def read(target: str) -> tuple[bytes, ...]:
    """Return a target's inputs, its finds first; empty when it has no file yet."""
    return (*_read(FINDS, target), *_read(FOLDER, target))


def write(target: str, inputs: Iterable[bytes]) -> None:
    """Write a target's inputs, shortest first, each once: a diff shows what is new."""
    ordered = sorted(set(inputs), key=lambda data: (len(data), data))
    lines = (json.dumps(data.decode("latin-1")) for data in ordered)
    FOLDER.mkdir(exist_ok=True)
    # A byte stands as the character of its number (Latin-1).
    (FOLDER / f"{target}.jsonl").write_text("".join(f"{line}\n" for line in lines))


def _read(folder: Path, target: str) -> tuple[bytes, ...]:
    path = folder / f"{target}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else ()
    return tuple(json.loads(line).encode("latin-1") for line in lines)
