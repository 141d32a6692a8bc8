"""Fuzz one target in this process; does not return: the engine ends the process.

What is left of the command line is the engine's: folders of inputs and `-flag=value` (libFuzzer).
"""

from __future__ import annotations

import shlex
import sys
from random import Random

import atheris

from fuzz import corpus

# What is imported from here on reports which of its branches an input takes.
with atheris.instrument_imports(include=["gateway"]):
    from fuzz.mutation import Mutator
    from fuzz.targets import TARGETS


def main(argv: list[str]) -> None:
    """Fuzz the target that the first argument names."""
    _, target, *rest = argv
    mutator = Mutator(corpus.read(target))

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)  # repeats with its seed, as it must
        changed = mutator.changed(data, random) if random.random() < STRUCTURED else None
        if changed is None or len(changed) > max_size:
            return bytes(atheris.Mutate(data, max_size))
        return changed

    # A merge runs its command again, through a shell.
    program = shlex.join([sys.executable, "-m", "fuzz.engine", target])
    atheris.Setup([program, *rest], TARGETS[target], custom_mutator=mutate)
    atheris.Fuzz()


STRUCTURED = 0.5
"""Share of changes that are made by structure."""

if __name__ == "__main__":
    main(sys.argv)
