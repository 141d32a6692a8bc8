"""Run queries on the ledger's file, on a thread and a connection of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from gateway.store.opening import connect

T = TypeVar("T")


class Reader:
    """Reads one snapshot after the other."""

    def __init__(self, path: Path, name: str) -> None:
        """Open the file, creating it when absent; blocks. Raises ConfigError.

        Args:
            name: What the thread is called.
        """
        self._connection = connect(path)
        self._connection.execute("PRAGMA query_only = 1")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._loop = asyncio.get_running_loop()

    async def read(self, query: Callable[[apsw.Connection], T]) -> T:
        """Run a query once those before it are done. Raises apsw.Error."""
        return await self._loop.run_in_executor(self._thread, self._snapshot, query)

    def close(self) -> None:
        """Finish what was asked for and close the file; blocks."""
        self._thread.shutdown()
        self._connection.close()

    def _snapshot(self, query: Callable[[apsw.Connection], T]) -> T:
        self._connection.execute("BEGIN")
        try:
            return query(self._connection)
        except UnicodeDecodeError as error:  # text that nobody wrote
            raise apsw.CorruptError(str(error)) from error
        finally:
            self._connection.execute("ROLLBACK")
