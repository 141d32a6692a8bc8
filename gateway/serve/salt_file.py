"""The salt of a state root: random bytes, written once and the same from then on."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

FILE = "launch-salt"

_BYTES = 16


def path_in(home: Path) -> Path:
    """Return where the salt of a state root is; whatever stands in there is the salt."""
    return home / FILE


def ensure(home: Path) -> bytes:
    """Return the salt, made when there is none yet; of several who make one, the first wins.

    Raises OSError when it can be neither read nor written.
    """
    path = path_in(home)
    with suppress(FileNotFoundError):
        return path.read_bytes()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=FILE, dir=home)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(temporary)  # unlike a rename it replaces nothing
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path.read_bytes()
