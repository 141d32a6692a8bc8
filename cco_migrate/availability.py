"""Is the port answering? Small probes on fresh connections while something is being swapped."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Availability:
    """What the probes saw.

    Attributes:
        probes: How many were made, each on a new connection.
        failed: How many were refused, reset or not answered within 5 s.
        longest_gap_s: Longest time from the start of a probe that was answered to the answer of
            the next such one, with a failure between: never shorter than the outage. 0 when none
            failed, or none was answered.
    """

    probes: int
    failed: int
    longest_gap_s: float


class AvailabilityProbe:
    """Asks `GET /ready` every 15 ms from a thread while inside a `with`; any HTTP answer counts."""

    def __init__(self, url: str, every_s: float = 0.015) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._samples: list[tuple[float, float, bool]] = []

    def __enter__(self) -> AvailabilityProbe:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(10)

    @property
    def result(self) -> Availability:
        """What was seen so far; meaningful after the `with`."""
        gap, last_ok, failed_since = 0.0, None, False
        for began, ended, ok in self._samples:
            if not ok:
                failed_since = True
            else:
                if failed_since and last_ok is not None:
                    gap = max(gap, ended - last_ok)
                last_ok, failed_since = began, False
        failed = sum(not ok for *_, ok in self._samples)
        return Availability(len(self._samples), failed, gap)

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            ok = self._once()
            self._samples.append((began, time.monotonic(), ok))
            if self._stop.wait(self._every_s):
                return

    def _once(self) -> bool:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=5)
        try:
            connection.request("GET", "/ready", headers={"connection": "close"})
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True
