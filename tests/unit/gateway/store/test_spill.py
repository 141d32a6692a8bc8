"""Files of records beside the ledger: whatever bytes are in them, each whole record is taken."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.redact import MAX_BODY_BYTES
from gateway.store import schema, writing
from gateway.store.opening import connect
from gateway.store.records import AuditRecord, Endpoint
from gateway.store.spill import Spill, reconcile

IDS = ("one", "two", "six")
SECRET = b"sk-ant-api03-abcdefghij"


@pytest.fixture
def short(record: AuditRecord) -> AuditRecord:
    """Return a record whose line is short, for every byte of it is tried."""
    return AuditRecord(
        *("one", "boot", 1, record.at_us, Endpoint.MESSAGES, "p", "m", "m"),
        *(200, True, False, False, False, 1),
        session_id="s",
        chosen="m",
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    with closing(connect(path)) as opened:
        yield opened


def spilled(path: Path, data: bytes, name: str = "0") -> Path:
    """Write what a process has left when it ended."""
    file = path.with_name(f"{path.name}.spill-{name}.jsonl")
    file.write_bytes(data)
    return file


def spills(path: Path) -> list[Path]:
    return sorted(path.parent.glob("*.spill-*"))


def taken(connection: apsw.Connection, path: Path) -> list[str]:
    """Bring in what was spilled; return which records that were, and forget them."""
    counted = sum(reconcile(connection, path, keep_entries=True))
    found = [row[0] for row in connection.execute("SELECT request_id FROM audit ORDER BY id")]
    calls = connection.execute("SELECT ifnull(sum(calls), 0) FROM totals").get
    talks = connection.execute("SELECT count(*) FROM conversations WHERE session_id = 's'").get
    assert calls == counted == len(found), "record and sums are one"
    assert talks <= len(found)
    connection.execute(
        "DELETE FROM audit; DELETE FROM totals; DELETE FROM overrides; DELETE FROM conversations;"
        "DELETE FROM spilled"
    )
    assert spills(path) == []
    return found


def told(caplog: pytest.LogCaptureFixture) -> tuple[int, ...]:
    """Return how many lines were taken, could not be read, and were refused, by the last log."""
    counts = re.findall(r"(?:records|unreadable|refused)=(\d+)", caplog.messages[-1])
    return tuple(map(int, counts))


def lines_of(record: AuditRecord) -> list[bytes]:
    return [msgspec.json.encode(replace(record, request_id=name)) + b"\n" for name in IDS]


JUNK = st.binary(max_size=30) | st.sampled_from(
    [b"", b"\0" * 40, b"\xff", b"{", b"null", b"[" * 5000, b'{"request_id":"\xff"}', b'{"a":{}}']
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(JUNK.map(lambda data: data.replace(b"\n", b"")), max_size=8), st.data())
def test_every_whole_line_is_taken_among_any_bytes_and_the_others_are_counted(
    connection: apsw.Connection,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    short: AuditRecord,
    junk: list[bytes],
    data: st.DataObject,
) -> None:
    lines = data.draw(st.permutations([*lines_of(short), *(line + b"\n" for line in junk)]))
    spilled(path, b"".join(lines))
    assert sorted(taken(connection, path)) == sorted(IDS)
    assert told(caplog) == (len(IDS), len(junk), 0)


def test_file_cut_at_any_byte_gives_every_whole_record(
    connection: apsw.Connection, path: Path, short: AuditRecord
) -> None:
    lines = lines_of(short)
    content = b"".join(lines)
    for length in range(len(content) + 1):
        spilled(path, content[:length])
        whole = sum(len(b"".join(lines[: n + 1])) - 1 <= length for n in range(len(IDS)))
        assert taken(connection, path) == list(IDS[:whole]), length


@pytest.mark.parametrize("damage", [b"\xff", b"\0", b"\n", b'"', b"9", b"-", b"\\"])
def test_any_byte_damaged_costs_no_other_record(
    connection: apsw.Connection, path: Path, short: AuditRecord, damage: bytes
) -> None:
    lines = lines_of(short)
    content, start, end = b"".join(lines), len(lines[0]), len(lines[0] + lines[1])
    for place in range(start, end):
        spilled(path, content[:place] + damage + content[place + 1 :])
        found = taken(connection, path)
        assert found[0] == "one", place
        assert place == end - 1 or found[-1] == "six", place


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as if the disk were full; a signal would tell of it."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def added(spill: Spill, records: Sequence[AuditRecord]) -> list[str]:
    """Spill records; return those that are said to be."""
    done = []
    for record in records:
        try:
            spill.add(record)
        except OSError:
            continue
        done.append(record.request_id)
    return done


def test_record_said_to_be_spilled_is_read_wherever_the_disk_was_full(
    connection: apsw.Connection, path: Path, short: AuditRecord, caplog: pytest.LogCaptureFixture
) -> None:
    records = [replace(short, request_id=name) for name in IDS]
    after = replace(short, request_id="after")
    first, second, _ = map(len, lines_of(short))
    for size in (0, 1, first // 2, *range(first - 1, first + second + 1)):
        spill = Spill(path)
        with full_at(size):
            said = added(spill, records)
        spill.add(after)
        assert spill.waiting() == len(said) + 1
        spill.release()
        assert taken(connection, path) == [*said, "after"], size
        assert told(caplog) == (len(said) + 1, 0, 0), "nothing torn is left"
        assert spill.waiting() == 0


@pytest.mark.parametrize(
    "change",
    [{"user": "\ud800"}, {"user": object()}, {"status": "x"}],
    ids=["half-a-character", "no-value", "another-type"],
)
def test_record_that_could_not_be_read_back_is_not_said_to_be_spilled(
    connection: apsw.Connection, path: Path, short: AuditRecord, change: dict[str, object]
) -> None:
    spill = Spill(path)
    spill.add(short)
    with pytest.raises((TypeError, ValueError)):
        spill.add(replace(short, request_id="bad", **change))
    spill.add(replace(short, request_id="two"))
    spill.release()
    assert taken(connection, path) == ["one", "two"]


@pytest.mark.parametrize(
    "change", [{"at_us": 10**18}, {"cost_pico": 2**63}, {"limits": (("", 1),), "model": None}]
)
def test_nothing_is_left_of_a_refused_record(
    connection: apsw.Connection,
    path: Path,
    short: AuditRecord,
    change: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = replace(short, **change)
    spilled(path, b"".join([msgspec.json.encode(bad), b"\n", *lines_of(short)]))
    assert taken(connection, path) == list(IDS)
    assert told(caplog) == (len(IDS), 0, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"said",
        b'{"text": "my key is %b, ok"}' % SECRET,
        b"\xff\xfe %b" % SECRET,
        "é".encode() * MAX_BODY_BYTES + SECRET,
        b"x" + "é".encode() * MAX_BODY_BYTES,
    ],
    ids=["plain", "secret", "no-text", "long", "cut-within-a-character"],
)
def test_bodies_are_spilled_as_they_would_be_kept(
    connection: apsw.Connection, path: Path, record: AuditRecord, body: bytes
) -> None:
    held = replace(record, request_body=body, response_body=body)
    spill = Spill(path)
    spill.add(held)
    (file,) = spills(path)
    line = msgspec.json.decode(file.read_bytes(), type=AuditRecord)
    assert SECRET not in (line.request_body or b"") + (line.response_body or b"")
    spill.release()
    assert list(reconcile(connection, path, keep_entries=True)) == [1]
    writing.insert(connection, [replace(held, request_id="at once")], keep_entries=True)
    kept = [tuple(row) for row in connection.execute("SELECT request, response FROM bodies")]
    assert len(kept) == 2
    assert len({text for row in kept for text in row}) == 1


def test_file_that_cannot_be_opened_keeps_no_other_out(
    connection: apsw.Connection, path: Path, short: AuditRecord
) -> None:
    first, last = (path.with_name(f"{path.name}.spill-{name}.jsonl") for name in "09")
    first.mkdir()
    last.symlink_to(last)
    for number, line in enumerate(lines_of(short), 1):
        spilled(path, line, str(number))
    with pytest.raises(IsADirectoryError):
        list(reconcile(connection, path, keep_entries=True))
    assert spills(path) == [first, last]
    assert connection.execute("SELECT count(*) FROM audit").get == len(IDS)


def test_file_is_kept_while_the_ledger_cannot_take_it(
    connection: apsw.Connection, path: Path, short: AuditRecord
) -> None:
    file = spilled(path, b"".join(lines_of(short)))
    connection.execute("DROP TABLE totals")
    with pytest.raises(apsw.SQLError):
        list(reconcile(connection, path, keep_entries=True))
    assert file.exists()
    assert not connection.in_transaction
    connection.execute(schema.TABLES[2])
    assert taken(connection, path) == list(IDS)


def test_spill_is_found_whatever_the_ledger_is_called(tmp_path: Path, short: AuditRecord) -> None:
    path = tmp_path / "led[g]er*?.db"
    spill = Spill(path)
    spill.add(short)
    spill.release()
    with closing(connect(path)) as connection:
        assert taken(connection, path) == ["one"]


def test_file_that_is_still_added_to_is_left_alone(
    connection: apsw.Connection, path: Path, short: AuditRecord
) -> None:
    spill = Spill(path)
    spill.add(short)
    assert list(reconcile(connection, path, keep_entries=True)) == []
    assert spill.waiting() == 1
    spill.release()
    assert list(reconcile(connection, path, keep_entries=True)) == [1]
    assert spill.waiting() == 0


WRITER = """
import sys
import msgspec
from msgspec.structs import replace
from pathlib import Path
from gateway.store.records import AuditRecord
from gateway.store.spill import Spill

record = msgspec.json.decode(sys.argv[2], type=AuditRecord)
spill = Spill(Path(sys.argv[1]))
for number in range(10**9):
    spill.add(replace(record, request_id=str(number), error_message="x" * (number % 50 * 999)))
    print(number, flush=True)
"""


def test_spilled_records_survive_sigkill(
    connection: apsw.Connection, path: Path, short: AuditRecord
) -> None:
    command = [sys.executable, "-c", WRITER, str(path), msgspec.json.encode(short).decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(100)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().split("\n")[:-1]
    found = taken(connection, path)
    assert found[: len(said)] == said
    assert len(found) - len(said) in (0, 1)
