"""What single records are served as, those of an older version too, and what they tell."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from gateway import resources
from gateway.overrides.shape import Shape
from gateway.store.entries import AuditFilter, audit, events_after, newest
from gateway.store.ledger import Ledger
from gateway.store.records import AuditRecord, CacheOutcome, Endpoint
from gateway.wire.answers import to_json
from gateway.wire.usage import Usage

OLD = '{"effort":"low","thinking":null,"betas":["a"],"max_tokens":1,"tools":2,"messages":3}'
SHAPE = Shape(effort="high", message_efforts=("low",), sampling=("top_k",), context_tokens=900)


async def served(path: Path) -> dict[str, dict[str, Any]]:  # Any: a JSON answer
    """Return the answer's entries by request id, checked against the schema."""
    ledger = Ledger(path, keep_entries=True)
    answer = json.loads(to_json(await ledger.read(lambda db: audit(db, AuditFilter()))))
    await ledger.close()
    Draft202012Validator(resources.schema("answers/audit")).validate(answer)
    return {entry["request_id"]: entry for entry in answer["entries"]}


def test_shape_is_served_whole_with_what_was_measured(tmp_path: Path, record: AuditRecord) -> None:
    shaped = replace(record, shape=SHAPE, adapted=("effort", "beta:x"))

    async def main() -> None:
        path = tmp_path / "ledger.db"
        ledger = Ledger(path, keep_entries=True)
        for name, usage in (("measured", Usage(10, 20, 1, 2, 3)), ("guessed", None), ("old", None)):
            assert await ledger.record(replace(shaped, request_id=name, usage=usage))
        await ledger.close()
        with closing(apsw.Connection(str(path))) as database:
            database.execute("UPDATE audit SET shape = ? WHERE request_id = 'old'", (OLD,))
        found = await served(path)
        shapes = {name: entry["request_shape"] for name, entry in found.items()}
        assert shapes["measured"]["context_tokens"] == 10 + 1 + 2 + 3
        assert shapes["guessed"]["context_tokens"] == 900
        assert shapes["guessed"]["message_efforts"] == ["low"]
        assert shapes["old"]["effort"] == "low"
        assert shapes["old"]["context_tokens"] is None
        assert shapes["old"].keys() == shapes["guessed"].keys()
        assert found["old"]["adapted"] == ["effort", "beta:x"]

    asyncio.run(main())


def ledger_of(path: Path, *records: AuditRecord) -> None:
    async def main() -> None:
        ledger = Ledger(path, keep_entries=True)
        for record in records:
            ledger.record(record)
        await ledger.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, ["model_override"]),
        ({"overridden": False}, []),
        ({"endpoint": Endpoint.COUNT_TOKENS}, []),
        ({"cache": CacheOutcome.MISS}, ["model_override", "cache_miss"]),
        ({"cache": CacheOutcome.HIT, "overridden": False}, ["cache_hit"]),
        ({"success": False, "status": 500}, ["model_override", "error"]),
        ({"success": False, "endpoint": Endpoint.COUNT_TOKENS}, ["error"]),
    ],
)
def test_record_tells_what_happened(
    tmp_path: Path, record: AuditRecord, change: dict[str, Any], names: list[str]
) -> None:
    ledger_of(tmp_path / "l.db", replace(record, **change))
    with closing(apsw.Connection(str(tmp_path / "l.db"))) as database:
        assert newest(database) == 1
        seen, events = events_after(database, 0, 10)
        assert (seen, [name for name, _ in events]) == (1, names)
        assert events_after(database, seen, 10) == (1, [])


@pytest.mark.parametrize("limit", [1, 7, 49, 50, 51, 1000])
def test_every_event_is_told_once_however_many_are_read_at_a_time(
    tmp_path: Path, record: AuditRecord, limit: int
) -> None:
    quiet = {"overridden": False}
    ledger_of(
        tmp_path / "l.db",
        *(
            replace(record, request_id=f"r{n}", **({"success": False} if n % 3 else {}), **quiet)
            for n in range(75)
        ),
    )
    with closing(apsw.Connection(str(tmp_path / "l.db"))) as database:
        last, told = 0, []
        for _ in range(100):
            last, found = events_after(database, last, limit)
            told += [document["request_id"] for _, document in found]
        assert told == [f"r{n}" for n in range(75) if n % 3]
        assert last == newest(database)
