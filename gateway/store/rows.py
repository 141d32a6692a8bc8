"""Run statements on the ledger in transactions, and read rows by the names of their columns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import apsw

Row = dict[str, Any]  # Any: what the schema says of the column

Runner = apsw.Connection | apsw.Cursor
"""What runs statements. A connection makes a cursor for each, which costs as much as the statement
of a small row; so what runs several makes one, and lets it go when one of them fails."""


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Hold the file for writing until the block ends; an error undoes it. Raises apsw.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(apsw.Error):
            connection.execute("ROLLBACK")
        raise


def rows(connection: apsw.Connection, query: str, values: tuple[object, ...] = ()) -> list[Row]:
    """Run a query and return all it finds. Raises apsw.Error.

    A query that is left half read, by an error say, would keep its snapshot, and the WAL growing.
    """
    cursor = connection.execute(query, values)
    names: list[str] = []
    found = []
    for row in cursor:
        names = names or [name for name, _ in cursor.get_description()]
        found.append(dict(zip(names, row, strict=True)))
    return found


def only(connection: apsw.Connection, query: str) -> Row:
    """Run a query that finds exactly one row, of sums say. Raises apsw.Error."""
    (row,) = rows(connection, query)
    return row
