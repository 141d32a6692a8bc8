"""Lengths of time as people write them: 45s, 30m, 1h30m, 4d. Pure."""

from __future__ import annotations

import re

from cco_migrate.errors import InvalidInput

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str, option: str) -> float:
    """Return a length of time in seconds.

    Args:
        option: What it was given for; named in the message.

    Raises:
        InvalidInput: It is not written so, or it is no time at all.
    """
    compact = text.replace(" ", "")
    if not _WHOLE.fullmatch(compact):
        raise InvalidInput(f"{option} {text}: write a number with d, h, m or s, e.g. 30m or 1h30m")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(compact))
    if not seconds:
        raise InvalidInput(f"{option} {text}: must be more than nothing")
    return seconds


def show_duration(seconds: float) -> str:
    """Return a length of time in its two largest units, e.g. "1h30m"; "0s" for less than half."""
    left, parts = round(seconds) if seconds >= 1 else round(seconds, 1), []
    if 0 < left < 1:
        return f"{left:g}s"
    for unit, length_s in _UNITS_S.items():
        number, left = divmod(left, length_s)
        if number:
            parts.append(f"{number:.0f}{unit}")
    return "".join(parts[:2]) or "0s"
