"""Read rows of the ledger by the names of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw

Row = dict[str, Any]  # Any: what the schema says of the column


def rows(connection: apsw.Connection, query: str, values: tuple[object, ...] = ()) -> Iterator[Row]:
    """Run a query and yield what it finds. Raises apsw.Error."""
    cursor = connection.execute(query, values)
    names: list[str] = []
    for row in cursor:
        names = names or [name for name, _ in cursor.get_description()]
        yield dict(zip(names, row, strict=True))


def only(connection: apsw.Connection, query: str) -> Row:
    """Run a query that finds exactly one row, of sums say. Raises apsw.Error."""
    (row,) = rows(connection, query)
    return row
