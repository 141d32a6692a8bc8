"""How deeply JSON may be nested: the bound that Python itself set until 3.13. Pure.

msgspec asks the interpreter how deep it may go. Python 3.11 allows it some 1,000 levels, 3.12 and
3.13 allow 10,000; 3.14 looks at the room left on the stack, which may be 260,000 levels where a
value is skipped and far fewer where the same value is decoded.
"""

from __future__ import annotations

import re
import sys
from itertools import accumulate

MAX_NESTING = 10_000
BOUNDED_BY_PYTHON = sys.version_info < (3, 14)

# One that does not end goes to the end: to look for it again from each quote in it takes for ever.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in _STEPS)


def refuse_deep(data: bytes) -> None:
    """Raise RecursionError when JSON is nested more deeply than `MAX_NESTING`.

    Of what is no JSON it may say either.
    """
    # Most bodies have fewer bytes, or brackets, than that: no need to follow them.
    if len(data) > MAX_NESTING and data.count(b"[") + data.count(b"{") > MAX_NESTING:
        brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
        if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_NESTING:
            raise RecursionError(f"nested more deeply than {MAX_NESTING} levels")
