"""Ask for plain answers, many at once, and for the first byte of streams; opens sockets."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.gateway.bodies import Format
from benchmarks.gateway.errors import WrongAnswer
from benchmarks.gateway.programs import Address

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_WITHIN_S = 60.0
_END_OF_STREAM = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """A plain answer."""

    head: bytes
    body: bytes


def request_bytes(address: Address, body: bytes, wire: Format = Format.MESSAGES) -> bytes:
    """Return a request as a client of the Messages API sends it."""
    lines = (
        f"POST {wire.path} HTTP/1.1",
        f"host: {address}",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "user-agent: claude-cli/2.0.50 (external, cli)",
        "x-api-key: sk-ant-bench",
        "anthropic-version: 2023-06-01",
        f"content-length: {len(body)}",
        "\r\n",
    )
    return "\r\n".join(lines).encode() + body


async def ask(address: Address, request: bytes) -> Answer:
    """Return the answer to one request. Raises WrongAnswer when it is not 200."""
    async with asyncio.timeout(_WITHIN_S):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            return await _exchange(reader, writer, request)
        finally:
            writer.close()


async def ask_many(address: Address, request: bytes, requests: int, connections: int) -> None:
    """Send a request so often, over so many kept connections. Raises WrongAnswer."""
    turns = iter(range(requests))
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_ask_while(address, request, turns))


def first_byte_ms(address: Address, request: bytes, requests: int) -> tuple[float, ...]:
    """Return the time to the first byte of each of so many streams on one kept connection.

    Milliseconds. Raises WrongAnswer.
    """
    with socket.create_connection((address.host, address.port), timeout=_WITHIN_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return tuple(_first_byte_ms(connection, request) for _ in range(requests))


async def _ask_while(address: Address, request: bytes, turns: Iterator[int]) -> None:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        for _ in turns:  # shared with the other connections
            async with asyncio.timeout(_WITHIN_S):
                await _exchange(reader, writer, request)
    finally:
        writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> Answer:
    writer.write(request)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise WrongAnswer(f"the connection was closed within an answer: {error}") from error
    if not head.startswith(b"HTTP/1.1 200 ") or not length:
        raise WrongAnswer(_shown(head + body))
    return Answer(head, body)


def _first_byte_ms(connection: socket.socket, request: bytes) -> float:
    begun = time.perf_counter_ns()
    connection.sendall(request)
    data = connection.recv(65536)
    took_ns = time.perf_counter_ns() - begun
    if not data.startswith(b"HTTP/1.1 200 "):
        raise WrongAnswer(_shown(data))
    while not data.endswith(_END_OF_STREAM):
        piece = connection.recv(65536)
        if not piece:
            raise WrongAnswer(f"the stream was cut: {_shown(data[-300:])}")
        data += piece
    return took_ns / 1e6


def _shown(data: bytes) -> str:
    return data[:500].decode(errors="replace")
