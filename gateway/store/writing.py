"""Write records and what follows from them, and delete old ones.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw
import msgspec
from msgspec.structs import astuple, replace

from gateway.redact import redact_body
from gateway.store import conversations, sums
from gateway.store.records import AuditRecord
from gateway.store.rows import Runner

_BAD_RECORD = (
    apsw.BindingsError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
    apsw.TooBigError,
)

_FIELDS = AuditRecord.__struct_fields__
_AS_THEY_ARE = slice(_FIELDS.index("usage"))  # columns whose names and values are the record's
_COLUMNS = (
    *_FIELDS[_AS_THEY_ARE],
    "input_tokens",
    "output_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
    "shape",
    "adapted",
    "terms",
)
# Named, so that a worker of an older version goes on writing while newer ones come up.
_INSERT = (
    f"INSERT INTO audit ({','.join(_COLUMNS)})"  # noqa: S608  # fixed names
    f" VALUES ({','.join('?' * len(_COLUMNS))})"
)
_BODIES = "INSERT INTO bodies SELECT id, ?, ? FROM audit WHERE request_id = ?"
_RATE_LIMITS = """INSERT INTO rate_limits VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET at_us = excluded.at_us, limits = excluded.limits
    WHERE limits <> excluded.limits OR at_us < excluded.at_us - 60000000"""

_encode = msgspec.json.Encoder().encode


def insert(runner: Runner, records: Iterable[AuditRecord], *, keep_entries: bool) -> None:
    """Write records, their sums and the limits their providers named.

    Args:
        keep_entries: Whether each request leaves an entry; the sums are kept in any case.
    """
    settled: list[AuditRecord] = []
    held: list[AuditRecord] = []  # those with bodies
    limits = []
    for each in records:
        record = each if each.session_id is None else _settled(runner, each)
        settled.append(record)
        if record.request_body is not None or record.response_body is not None:
            held.append(record)
        if record.limits:
            limits.append(_limits(record))
    if keep_entries:
        runner.executemany(_INSERT, map(_row, settled))
        if held:  # mostly there are none, and no rows cost as much as one
            runner.executemany(_BODIES, map(_bodies, held))
    if limits:
        runner.executemany(_RATE_LIMITS, limits)
    sums.add_records(runner, settled)


def is_bad_record(error: Exception) -> bool:
    """Return whether an error is the fault of what was to be written: it will come again.

    Else it is the file's, or the machine's, and may pass.
    """
    return isinstance(error, _BAD_RECORD) or not isinstance(error, (apsw.Error, MemoryError))


def delete_before(connection: apsw.Connection, at_us: int, limit: int) -> int:
    """Delete the oldest records that arrived before a time, at most `limit`; return how many.

    The sums stay.
    """
    old = "SELECT id FROM audit WHERE at_us < ? ORDER BY at_us LIMIT ?"
    ids = [(row[0],) for row in connection.execute(old, (at_us, limit))]
    connection.executemany("DELETE FROM audit WHERE id = ?", ids)
    connection.executemany("DELETE FROM bodies WHERE audit_id = ?", ids)
    return len(ids)


def _settled(runner: Runner, record: AuditRecord) -> AuditRecord:
    """Bring a record's conversation up to date; return the record with what it truly saved."""
    again = conversations.settle(runner, record)
    if not again or record.saved_pico is None:
        return record
    return replace(record, saved_pico=record.saved_pico - record.written_again_pico(again))


def _row(record: AuditRecord) -> tuple[object, ...]:
    usage = record.usage
    if usage is None:
        input_ = output = write_5m = write_1h = read = None
    else:
        input_, output, read = usage.input_tokens, usage.output_tokens, usage.cache_read_tokens
        write_5m, write_1h = usage.cache_write_5m_tokens, usage.cache_write_1h_tokens
    return astuple(record)[_AS_THEY_ARE] + (
        input_,
        output,
        write_5m,
        write_1h,
        read,
        _encode(record.shape).decode(),
        _words(record.adapted),
        "[]" if usage is None else _words(usage.unusual()),
    )


def _words(words: tuple[str, ...]) -> str:
    return _encode(words).decode() if words else "[]"


def _bodies(record: AuditRecord) -> tuple[str | None, str | None, str]:
    """Return the bodies of a record without what is secret."""
    kept = (redact_body(record.request_body), redact_body(record.response_body))
    return (*kept, record.request_id)


def _limits(record: AuditRecord) -> tuple[object, ...]:
    limits = _encode(dict(record.limits)).decode()
    return (record.provider, record.model, record.at_us, limits)
