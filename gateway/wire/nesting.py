"""How deeply JSON may be nested: the bound that Python itself set until 3.13. Pure.

msgspec asks the interpreter how deep it may go. Python 3.11 allows it some 1,000 levels, 3.12 and
3.13 allow 10,000; 3.14 looks at the room left on the stack, which may be 260,000 levels where a
value is skipped and far fewer where the same value is decoded.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import accumulate

MAX_NESTING = 10_000
BOUNDED_BY_PYTHON = sys.version_info < (3, 14)

# One that does not end goes to the end: to look for it again from each quote in it takes for ever.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_STEPS = {ord("["): 1, ord("]"): -1}
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_BLOCK_BYTES = 8192  # looked at together; it opens fewer levels than the bound


def refuse_deep(data: bytes) -> None:
    """Raise RecursionError when JSON is nested more deeply than `MAX_NESTING`.

    Of what is no JSON it may say either.
    """
    # Most bodies have fewer bytes, or brackets, than that: no need to follow them.
    if len(data) > MAX_NESTING and _opens_many(data):
        brackets = _STRING.sub(b"", data).translate(_ONE_KIND, _NO_BRACKETS)
        if _is_deep(brackets):
            raise RecursionError(f"nested more deeply than {MAX_NESTING} levels")


def _opens_many(data: bytes) -> bool:
    """Return whether more than `MAX_NESTING` brackets open, those in strings too."""
    # To leave them out is a multiple faster than to count them, which looks at each byte.
    opened = (
        len(block) - len(block.replace(b"[", b"").replace(b"{", b"")) for block in _blocks(data)
    )
    return any(total > MAX_NESTING for total in accumulate(opened))


def _is_deep(brackets: bytes) -> bool:
    """Return whether more than `MAX_NESTING` are open at once; all are written as `[` and `]`."""
    depth = 0
    for block in _blocks(brackets):
        opened = block.count(b"[")
        # They are followed one by one only where they could reach the bound.
        if depth + opened > MAX_NESTING:
            steps = map(_STEPS.__getitem__, block)
            if max(accumulate(steps, initial=depth)) > MAX_NESTING:
                return True
        depth += 2 * opened - len(block)
    return False


def _blocks(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _BLOCK_BYTES] for at in range(0, len(data), _BLOCK_BYTES))
