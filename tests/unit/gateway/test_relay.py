"""The relay of streams: nothing changed, nothing late, the end only after the record."""

from __future__ import annotations

import asyncio

import pytest

from gateway.relay import StreamRelay
from gateway.wire.http import Header, ReadSide
from gateway.wire.stream_meter import StreamMeter

BEGIN = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
DATA = BEGIN + b'data: {"type":"x","text":"message_stop"}\n\n' + STOP


class Written:
    """A responder that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.started = True

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: bytes = b"",
        headers: tuple[Header, ...] = (),
    ) -> None:
        raise AssertionError

    def start(
        self, status: int, headers: tuple[Header, ...], first: bytes = b"", lines: bytes = b""
    ) -> None:
        raise AssertionError

    def write(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None:
        raise AssertionError

    def abort(self) -> None:
        raise AssertionError

    def throttle(self, source: ReadSide | None) -> None:
        raise AssertionError


async def hold_and_release(cut: int) -> None:
    written = Written()
    recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    relay = StreamRelay(written, StreamMeter(), lambda: recorded)
    relay.body(DATA[:cut])
    relay.body(DATA[cut:] + b": after\n\n")
    assert DATA.startswith(written.data)
    assert not written.data.endswith(STOP), cut
    assert written.data.startswith(BEGIN)
    recorded.set_result(True)
    await relay.settled()
    assert written.data == DATA + b": after\n\n"
    assert not relay.late
    relay.body(b": much later\n\n")
    assert written.data.endswith(b": much later\n\n")


def test_end_is_held_until_the_record_at_every_split() -> None:
    async def main() -> None:
        for cut in range(len(DATA) + 1):
            await hold_and_release(cut)

    asyncio.run(main())


def test_record_that_does_not_come_is_not_waited_for_long() -> None:
    async def main() -> None:
        written = Written()
        relay = StreamRelay(written, StreamMeter(), asyncio.get_running_loop().create_future)
        relay.body(DATA)
        assert not written.data.endswith(STOP)
        async with asyncio.timeout(60):
            await relay.settled()
        assert (written.data, relay.late) == (DATA, True)

    asyncio.run(main())


def test_endless_bytes_after_the_end_are_not_piled_up() -> None:
    async def main() -> None:
        written = Written()
        relay = StreamRelay(written, StreamMeter(), asyncio.get_running_loop().create_future)
        relay.body(DATA)
        relay.body(b"x" * 100_000)
        assert written.data == DATA + b"x" * 100_000
        relay.close()

    asyncio.run(main())


@pytest.mark.parametrize(("data", "mid_line"), [(b"data: x\n", False), (b"data: x", True)])
def test_unfinished_line_is_known(data: bytes, *, mid_line: bool) -> None:
    async def main() -> None:
        relay = StreamRelay(Written(), StreamMeter(), asyncio.get_running_loop().create_future)
        relay.body(data)
        await relay.settled()
        assert relay.mid_line is mid_line

    asyncio.run(main())
