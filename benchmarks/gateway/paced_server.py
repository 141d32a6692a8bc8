"""An upstream that streams at the pace its request asks for; runs as a process of its own.

`.../messages` answers in Anthropic's format, any other path in OpenAI's. Run it with
`python -m benchmarks.gateway.paced_server --port PORT`.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time

import uvloop

from benchmarks.gateway.bodies import (
    Format,
    Pace,
    plain_answer,
    stream_delta,
    stream_head,
    stream_tail,
)

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_BACKLOG = 2048
_MAX_HEAD_BYTES = 1 << 20


def main() -> int:
    """Serve until told to stop."""
    options = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    options.add_argument("--port", type=int, required=True)
    uvloop.run(_serve_forever(options.parse_args().port))
    return 0


async def serve(port: int) -> asyncio.Server:
    """Return the server, listening on loopback; port 0 takes any."""
    return await asyncio.start_server(
        _connected, "127.0.0.1", port, backlog=_BACKLOG, limit=_MAX_HEAD_BYTES
    )


async def _serve_forever(port: int) -> None:
    async with await serve(port) as server:
        await server.serve_forever()


async def _connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection, one after the other."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            wire = Format.MESSAGES if b"/messages" in head.split(b" ", 2)[1] else Format.CHAT
            pace = Pace.read(body)
            if pace is None:
                _answer(writer, plain_answer(wire))
            else:
                await _stream(writer, wire, pace)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client is gone
    finally:
        writer.close()


def _answer(writer: asyncio.StreamWriter, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    writer.write(head % len(body) + body)


async def _stream(writer: asyncio.StreamWriter, wire: Format, pace: Pace) -> None:
    loop = asyncio.get_running_loop()
    writer.write(_STREAM_HEAD + _chunk(stream_head(wire)))
    due = loop.time()
    for number in range(pace.deltas):
        due += pace.every_ms / 1000
        await asyncio.sleep(due - loop.time())
        writer.write(_chunk(stream_delta(wire, number, time.monotonic_ns())))
        await writer.drain()
    writer.write(_chunk(stream_tail(wire, pace.deltas)) + b"0\r\n\r\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    sys.exit(main())
