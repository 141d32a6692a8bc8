"""Load an address with `wrk` for some seconds; parsing is pure."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway.bodies import Format
from benchmarks.gateway.errors import WrongAnswer
from benchmarks.gateway.programs import Address, required

_SCRIPT = Path(__file__).with_name("post.lua")
_MARK = "BENCH "
_HEADERS = "content-type: application/json\nx-api-key: sk-ant-bench\nanthropic-version: 2023-06-01"
_SLACK_S = 60


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw.

    Attributes:
        wrong: Answers that were not 200 or not what was asked for, and connections that failed.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    wrong: int

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds


def load(address: Address, body: bytes, connections: int, seconds: int, scratch: Path) -> Load:
    """Post a body over and over. Raises Missing, and WrongAnswer unless every answer was good."""
    file = scratch / "body.json"
    file.write_bytes(body)
    url = f"http://{address}{Format.MESSAGES.path}"
    how = ("-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s")
    given = {"BENCH_BODY": str(file), "BENCH_HEADERS": _HEADERS, "BENCH_EXPECT": "output_tokens"}
    done = subprocess.run(
        (required("wrk"), *how, "-s", str(_SCRIPT), url),
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + _SLACK_S,
    )
    found = parse(done.stdout + done.stderr)
    if found.wrong:
        raise WrongAnswer(f"{found.wrong} of {found.requests} answers of {url} were wrong")
    return found


def parse(text: str) -> Load:
    """Return what the script printed. Raises WrongAnswer when it printed nothing."""
    for line in text.splitlines():
        if line.startswith(_MARK):
            return Load(**json.loads(line.removeprefix(_MARK)))
    raise WrongAnswer(f"wrk gave no result: {text[-500:]}")
