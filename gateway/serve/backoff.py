"""How long a process that died stays down before it is started again; pure."""

from __future__ import annotations

STABLE_S = 10.0
"""A process that lived this long did not crash because of how it starts."""

_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def delay_s(crashes: int) -> float:
    """Return the wait after so many crashes in a row before this one, seconds."""
    return _DELAYS_S[min(crashes, len(_DELAYS_S) - 1)]
