"""Take the date off a model's id. Pure."""

from __future__ import annotations

import re

_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d\d-\d\d)\Z")


def undated(model: str) -> str:
    """Return a model's id without `-YYYYMMDD` or `-YYYY-MM-DD`; ids without a date as they are."""
    return _DATE.sub("", model)
