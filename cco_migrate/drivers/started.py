"""A service that was just started and may die before it is ready."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Started:
    """What a start gave us.

    Attributes:
        process: What was started; a command that merely tells a service manager ends at once.
        log: File its output goes to.
        offset: Size of that file before the start.
    """

    process: subprocess.Popen[bytes]
    log: Path
    offset: int

    def failure(self) -> str | None:
        """Return why it failed, with its last lines; None while it runs or when it ended well."""
        code = self.process.poll()
        if code is None or code == 0:
            return None
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        return f"it ended with {how}: {self.last_lines() or 'no output'}"

    def last_lines(self, count: int = 6) -> str:
        """Return the last lines written since the start, joined by ` | `."""
        try:
            with self.log.open("rb") as file:
                file.seek(self.offset)
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        # the underlining of a traceback says nothing on one line
        told = [line.strip() for line in lines if line.strip(" ^~")]
        return " | ".join(told[-count:])
