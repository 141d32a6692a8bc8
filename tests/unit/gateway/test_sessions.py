"""What one worker learns of conversations, and what it does when the ledger cannot be asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw

from gateway.sessions import MAX_SEEN, Sessions
from gateway.store.conversations import ConversationKey
from gateway.store.ledger import Ledger

KEY = ConversationKey("s1", "", "big")


def test_conversation_begun_by_one_worker_is_known_to_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        here, there = (
            Ledger(tmp_path / "l.db", keep_entries=True),
            Ledger(tmp_path / "l.db", keep_entries=True),
        )
        Sessions(here, 60).begun(KEY, "small", at_us=2**60)
        await here.write(lambda _: None)  # whatever was queued before it is committed, too
        assert await Sessions(there, 60).model(KEY) == "small"
        assert await Sessions(there, 60).model(ConversationKey("s1", "agent", "big")) is None
        await here.close()
        await there.close()

    asyncio.run(main())


def test_conversation_is_written_once_a_worker(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = Ledger(tmp_path / "l.db", keep_entries=True)
        sessions = Sessions(ledger, 60)
        for at_us in (1, 2, 3):
            sessions.begun(KEY, "small", at_us)
        for number in range(MAX_SEEN):
            sessions.begun(ConversationKey(f"other-{number}", "", "big"), "small", 1)
        sessions.begun(KEY, "small", 4)  # forgotten by now
        await ledger.write(lambda _: None)
        rows = await ledger.read(
            lambda file: file.execute(
                "SELECT first_us, last_us FROM conversations WHERE session_id = 's1'"
            ).fetchall()
        )
        assert [tuple(row) for row in rows] == [(1, 4)]
        await ledger.close()

    asyncio.run(main())


def drop(file: apsw.Connection) -> None:
    file.execute("DROP TABLE conversations")


def test_unreadable_ledger_keeps_every_conversation_on_its_model(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = Ledger(tmp_path / "l.db", keep_entries=True)
        await ledger.write(drop)
        assert await Sessions(ledger, 60).model(KEY) == "big"
        await ledger.close()

    asyncio.run(main())
