"""Find what is known of a model by its id, with or without the date behind it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d\d-\d\d)$")

T = TypeVar("T")


def find(table: Mapping[str, T], model: str) -> T | None:
    """Return the row of a model's id, else of its id without its date, else None."""
    found = table.get(model)
    return found if found is not None else table.get(undated(model))


def undated(model: str) -> str:
    """Return a model's id without `-YYYYMMDD` or `-YYYY-MM-DD`; ids without a date as they are."""
    return _DATE.sub("", model)
