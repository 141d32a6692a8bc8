"""Bodies in an encoding: their bytes untouched, the end only after the record, others served."""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
from collections.abc import Callable, Iterable

import pytest

from gateway.encoded import MAX_BACKLOG_BYTES, DecodedSink, EncodedRelay, decoded, unread
from gateway.wire.content_coding import MAX_BLOCK_BYTES, Undecodable, decoder_of
from gateway.wire.decoded_meter import DecodedMeter
from gateway.wire.http import UNBOUNDED
from gateway.wire.stream_meter import StreamMeter
from tests.unit.gateway.test_relay import BEGIN, STOP, Written

DATA = gzip.compress(BEGIN + STOP)
LIMIT = 1 << 20
Record = Callable[[], "asyncio.Future[bool]"]


def relay_of(written: Written, record: Record) -> EncodedRelay:
    return EncodedRelay(written, DecodedMeter(StreamMeter()), record)


async def push(relay: EncodedRelay, *pieces: bytes) -> None:
    sink = relay.reading_along(decoder_of(b"gzip"), lambda _: None)
    for piece in pieces:
        sink.body(piece)
    await sink.drained()


async def hold_and_release(cut: int) -> None:
    written = Written()
    recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    relay = relay_of(written, lambda: recorded)
    await push(relay, DATA[:cut], DATA[cut:])
    assert DATA.startswith(written.data)
    assert STOP not in b"".join(decoder_of(b"gzip").feed(written.data)), cut
    relay.finish()
    recorded.set_result(True)
    await relay.settled()
    assert (written.data, relay.stopped, relay.late) == (DATA, True, False)


def test_end_is_held_until_the_record_at_every_split() -> None:
    async def main() -> None:
        for cut in range(len(DATA) + 1):
            await hold_and_release(cut)

    asyncio.run(main())


def test_end_of_what_cannot_be_read_waits_for_its_record() -> None:
    async def main() -> None:
        written = Written()
        recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        relay = relay_of(written, lambda: recorded)
        await push(relay, b"no gzip")
        assert (written.data, relay.stopped) == (b"no gzip", False)
        relay.finish()
        relay.finish()
        settled = asyncio.ensure_future(relay.settled())
        await asyncio.sleep(0)
        assert not settled.done()
        recorded.set_result(True)
        await settled

    asyncio.run(main())


def test_what_broke_off_is_not_taken_for_complete() -> None:
    async def main() -> None:
        for data in (b"no gzip", DATA[:30]):
            relay = relay_of(Written(), asyncio.get_running_loop().create_future)
            await push(relay, data)
            relay.break_off()
            assert not relay.stopped

    asyncio.run(main())


class Passing:
    """What a sink lets pass, in its order."""

    def __init__(self) -> None:
        self.read = self.passed = b""
        self.events: list[str] = []

    def sink(self) -> DecodedSink:
        return DecodedSink(decoder_of(b"gzip"), self._read, self._lose, self._pass)

    def _read(self, data: bytes) -> None:
        assert 0 < len(data) <= MAX_BLOCK_BYTES
        self.read += data
        self.events.append("read")

    def _pass(self, data: bytes) -> None:
        self.passed += data
        self.events.append("passed")

    def _lose(self, _: Undecodable) -> None:
        self.events.append("lost")


def take(passing: Passing, pieces: Iterable[bytes]) -> None:
    async def main() -> None:
        sink = passing.sink()
        for piece in pieces:
            sink.body(piece)
        await sink.drained()
        sink.close()

    asyncio.run(main())


def test_every_piece_passes_after_what_it_says() -> None:
    for cut in range(len(DATA) + 1):
        passing = Passing()
        take(passing, (DATA[:cut], DATA[cut:]))
        assert (passing.read, passing.passed) == (BEGIN + STOP, DATA), cut
        assert passing.events[-1] == "passed"


def test_what_follows_on_damage_passes_unread() -> None:
    passing = Passing()
    take(passing, (DATA, b"no gzip", DATA))
    assert (passing.read, passing.passed) == (BEGIN + STOP, DATA + b"no gzip" + DATA)
    assert passing.events == ["read", "passed", "lost", "passed", "passed"]


def test_others_are_served_while_a_long_piece_is_read() -> None:
    text = bytes(range(256)) * 4096
    passing = Passing()

    async def main() -> None:
        sink = passing.sink()
        sink.body(gzip.compress(text))
        turns = 0
        while not passing.passed:
            assert len(passing.read) <= (turns + 1) * 2 * MAX_BLOCK_BYTES
            await asyncio.sleep(0)
            turns += 1
        await sink.drained()
        assert passing.read == text

    asyncio.run(main())


def test_pieces_stay_in_their_order_while_one_is_read() -> None:
    pieces = [gzip.compress(bytes((number,)) * (1 << 18)) for number in range(5)]
    passing = Passing()
    take(passing, pieces)
    assert passing.passed == b"".join(pieces)
    assert passing.read == b"".join(bytes((number,)) * (1 << 18) for number in range(5))


def test_what_comes_faster_than_it_is_read_passes_unread() -> None:
    noise = gzip.compress(random.Random(7).randbytes(2 * MAX_BACKLOG_BYTES))
    pieces = [noise[at : at + 100_000] for at in range(0, len(noise), 100_000)]
    passing = Passing()
    take(passing, pieces)
    assert passing.passed == noise
    assert passing.events.count("lost") == 1


def test_closed_sink_reads_no_more() -> None:
    passing = Passing()

    async def main() -> None:
        sink = passing.sink()
        sink.body(gzip.compress(bytes(1 << 20)))
        sink.close()
        sink.close()
        read = len(passing.read)
        await asyncio.sleep(0)
        assert (len(passing.read), passing.passed) == (read, b"")

    asyncio.run(main())


class Room:
    """Memory for so many bytes."""

    def __init__(self, left: int) -> None:
        self.left = left

    def try_more(self, size: int) -> bool:
        self.left -= size
        return self.left >= 0


def test_whole_body_is_read_within_its_bounds() -> None:
    text = bytes(range(256)) * 1024
    body, small = gzip.compress(text), gzip.compress(b"small")

    async def main() -> None:
        assert await decoded(decoder_of(b"gzip"), body, UNBOUNDED, LIMIT) == text
        assert await decoded(decoder_of(b"gzip"), body, Room(len(text)), len(text)) == text
        assert await decoded(decoder_of(b"gzip"), small, Room(0), LIMIT) == b"small"
        with pytest.raises(Undecodable, match="memory"):
            await decoded(decoder_of(b"gzip"), body, Room(len(text) // 2), LIMIT)
        with pytest.raises(Undecodable, match="more than is read"):
            await decoded(decoder_of(b"gzip"), body, UNBOUNDED, len(text) - 1)

    asyncio.run(main())


def test_each_cause_is_told_once_a_provider(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for name in ("told-one", "told-one", "told-two"):
            unread(name, Undecodable("token=secret-0123456789"))
    assert [record.args for record in caplog.records] == [
        ("told-one", "token=***" + record_digits(caplog)),
        ("told-two", "token=***" + record_digits(caplog)),
    ]


def record_digits(caplog: pytest.LogCaptureFixture) -> str:
    return caplog.records[0].getMessage()[-4:]
