"""When to stop asking a provider, and when to ask again. Pure: events and a clock, no waiting."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from enum import StrEnum

FAILURES_TO_OPEN = 5
FIRST_OPEN_S, LAST_OPEN_S = 5.0, 60.0
MAX_CIRCUITS = 1024
MAX_RETRY_AFTER_S = 60
_FIRST_BACK_OFF_S, _LAST_BACK_OFF_S = 0.5, 8.0
_SECONDS = re.compile(rb"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_MAX_DATE_CHARS = 64


class CircuitState(StrEnum):
    """Whether a provider is asked for a model."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


# Bound once: Python 3.11 asks an enum's metaclass for a member each time that it is named.
_CLOSED = CircuitState.CLOSED


class Circuit:
    """One provider and model: opens after failures in a row, then lets one request try.

    Each time that try fails the circuit stays open twice as long.

    Attributes:
        failures: In a row; without any it is closed.
    """

    __slots__ = ("_open_s", "_since", "failures", "state")

    def __init__(self) -> None:
        self.state = CircuitState.CLOSED
        self.failures = 0
        self._since = 0.0
        self._open_s = FIRST_OPEN_S

    def allows(self, now: float) -> bool:
        """Return whether to ask; in an open circuit whose time is over, one caller is told yes."""
        if self.state is _CLOSED:
            return True
        if now - self._since < self._open_s:
            return False
        # Also half open: whoever was to try has not reported in all that time.
        self.state, self._since = CircuitState.HALF_OPEN, now
        return True

    def succeeded(self) -> None:
        """Close: the provider answered."""
        self.state, self.failures, self._open_s = CircuitState.CLOSED, 0, FIRST_OPEN_S

    def failed(self, now: float) -> None:
        """Count a failure, and open when it was one too many."""
        self.failures += 1
        if self.state is CircuitState.HALF_OPEN:
            self._open_s = min(2 * self._open_s, LAST_OPEN_S)
        elif self.state is CircuitState.OPEN or self.failures < FAILURES_TO_OPEN:
            return
        self.state, self._since = CircuitState.OPEN, now


class Circuits:
    """The circuits of all providers and models; those unused for longest are forgotten."""

    __slots__ = ("_circuits",)

    def __init__(self) -> None:
        self._circuits: OrderedDict[tuple[str, str], Circuit] = OrderedDict()

    def of(self, provider: str, model: str) -> Circuit:
        """Return the circuit of a provider and model."""
        key, circuits = (provider, model), self._circuits
        try:
            circuits.move_to_end(key)
        except KeyError:
            circuits[key] = Circuit()
            if len(circuits) > MAX_CIRCUITS:
                circuits.popitem(last=False)
        return circuits[key]

    def states(self, provider: str) -> Mapping[str, CircuitState]:
        """Return the state of each model that was asked of a provider."""
        return {
            model: circuit.state
            for (name, model), circuit in self._circuits.items()
            if name == provider
        }


class RetryBudget:
    """Allows retries for a share of all requests: clients retry too, and both multiply.

    Args:
        share: Retries per request, in the long run.
        burst: Retries allowed at once, and at the start.
    """

    __slots__ = ("_burst", "_left", "_share")

    def __init__(self, *, share: float = 0.1, burst: float = 10) -> None:
        self._share, self._burst = share, burst
        self._left = burst

    def earn(self) -> None:
        """Count a request."""
        if self._left < self._burst:
            self._left = min(self._burst, self._left + self._share)

    def spend(self) -> bool:
        """Return whether one more retry is allowed, and count it."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


def back_off_s(attempt: int, retry_after_s: float | None, jitter: float) -> float | None:
    """Return how long to wait before an attempt; None when the provider asks for too long a wait.

    Args:
        attempt: 1 for the first retry.
        retry_after_s: What the provider asked for; None when it did not.
        jitter: Random number from 0 to 1.
    """
    if retry_after_s is None:
        longest_s: float = min(_LAST_BACK_OFF_S, _FIRST_BACK_OFF_S * 2 ** (attempt - 1))
        return longest_s * (0.5 + jitter / 2)
    if retry_after_s > MAX_RETRY_AFTER_S:
        return None
    return retry_after_s * (1 + 0.1 * jitter)  # never earlier than asked


def parse_retry_after(value: bytes | None, date: bytes | None, now: float) -> float | None:
    """Return how many seconds to wait; None when nothing is asked for, or not in words of HTTP.

    A number, which some providers write with a fraction, or a date; one that is past is no wait.

    Args:
        value: The header (RFC 9110, 10.2.3).
        date: When the answer was made, by its own header: the provider's clock may be another.
        now: The same by this machine's clock, seconds since the epoch.
    """
    if value is None:
        return None
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    made = None if date is None else _http_date(date)
    return max(0.0, until - (now if made is None else made))


def _http_date(value: bytes) -> float | None:
    """Return seconds since the epoch; None for what is no date in any of HTTP's three forms."""
    if len(value) > _MAX_DATE_CHARS or not value.isascii():
        return None
    try:
        parsed = parsedate_tz(value.decode())
        return None if parsed is None else float(mktime_tz(parsed))
    except (ValueError, OverflowError):  # a year beyond the calendar
        return None
