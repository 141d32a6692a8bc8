"""What all targets share: their form, and how they cut one input into pieces. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

Target = Callable[[bytes], None]
"""Takes any bytes. Raises AssertionError when a law is broken; any other error is a find too."""

Value = Any
"""A JSON value of any shape."""

SIZES = (1, 2, 3, 7, 16, 61, 127, 255, 509, 1021)
MAX_PIECES = 128


def pieces(data: bytes) -> Iterator[bytes]:
    """Yield the data in equal pieces; their size follows from the data, so that a find repeats."""
    size = max(SIZES[zlib.crc32(data) % len(SIZES)], len(data) // MAX_PIECES)
    for at in range(0, len(data), size):
        yield data[at : at + size]
