"""Runs one command in a folder with a time limit, as a program of its own: for `commands`.

    python -I bounded.py FOLDER SECONDS COMMAND...

Ends as the command did, with 124 when it was late and 127 when it cannot be started, as timeout(1)
does. Whatever the command left running in its process group is killed at the end.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

LATE, NOT_STARTED = 124, 127
_LOOK_EVERY_S = 0.2


def main(folder: str, seconds: str, *command: str) -> int:
    """Return the exit status of the command; 128 + n when signal n ended it."""
    parent = os.getppid()
    try:
        process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return NOT_STARTED
    try:
        code = _wait(process, time.monotonic() + float(seconds), parent)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says so of zombies
            os.killpg(process.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _wait(process: subprocess.Popen[bytes], until: float, parent: int) -> int:
    while time.monotonic() < until:
        try:
            return process.wait(_LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:  # nobody is there any more who would read the result
                break
    return LATE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
