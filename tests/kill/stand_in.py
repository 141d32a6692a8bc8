"""Stands in for the gateway's command line, in front of `light_gateway.py`.

    python stand_in.py start HOME PORT      one in the background
    python stand_in.py stop HOME            SIGTERM to the recorded pid, and wait for its end
    python stand_in.py launch --home HOME --config-dir DIRECTORY -- CLIENT [WORD…]

It is run thousands of times, and imports little.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LIGHT_GATEWAY = Path(__file__).with_name("light_gateway.py")
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy")


def launch(home: Path, client: list[str]) -> None:
    """Become a client that is led where the PID file says, and nowhere else."""
    record = json.loads((home / "daemon.pid").read_bytes())
    environment = {name: value for name, value in os.environ.items() if name not in PROXIES}
    gateway, proxy = (record[name] for name in ("gateway_port", "proxy_port"))
    if gateway:
        environment["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{gateway}"
    elif proxy:
        environment["HTTPS_PROXY"] = f"http://127.0.0.1:{proxy}"
    os.execvpe(client[0], client, environment)  # noqa: S606  # as a launcher does, without a shell


def stop(home: Path) -> None:
    """Stop the recorded process."""
    try:
        pid = json.loads((home / "daemon.pid").read_bytes())["pid"]
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    until = time.monotonic() + 10
    while _lives(pid):
        if time.monotonic() > until:
            sys.exit(f"pid {pid} is still there")
        time.sleep(0.005)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def main() -> None:
    verb, words = sys.argv[1], sys.argv[2:]
    if verb == "launch":
        launch(Path(words[1]), words[words.index("--") + 1 :])
    elif verb == "start":
        home = Path(words[0])
        subprocess.Popen(
            [sys.executable, str(LIGHT_GATEWAY), "--home", str(home), "--config-dir",
             str(home / "config"), "--host", "127.0.0.1", "--port", words[1]],
            start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    else:
        stop(Path(words[0]))


if __name__ == "__main__":
    main()
