"""Providers in threads of the test's process, for gateways that are processes of their own."""

from __future__ import annotations

import json
import socketserver
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any

Json = Any  # a parsed document whose shape the assertions state


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as a provider received it; names of headers in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    def json(self) -> Json:
        return json.loads(self.body)


@dataclass(slots=True)
class Connection:
    """A gateway's connection, as a provider's script has it."""

    reader: BufferedIOBase
    writer: BufferedIOBase
    keep: bool = True

    def reply(self, status: int, document: Json, **headers: str) -> None:
        """Answer with JSON; underscores in the names of headers are hyphens."""
        data = json.dumps(document).encode()
        lines = [f"HTTP/1.1 {status} Scripted", "content-type: application/json"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [f"content-length: {len(data)}", "", ""]
        self.writer.write("\r\n".join(lines).encode() + data)

    def begin_stream(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        self.writer.write(head + b"transfer-encoding: chunked\r\n\r\n")

    def event(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self) -> None:
        self.writer.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """End the connection in the middle of what is being said."""
        self.keep = False

    def wait_until_left(self) -> None:
        """Return once the other side has ended the connection."""
        with suppress(ConnectionError):
            while self.reader.read(1):
                pass
        self.keep = False


Script = Callable[[Seen, Connection], None]


class Provider(socketserver.ThreadingTCPServer):
    """Does with each request what `script` says, and remembers it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []
        self.script: Script = _unscripted

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Provider)
        connection = Connection(self.rfile, self.wfile)
        with suppress(ConnectionError):
            while connection.keep and (line := self.rfile.readline()):
                seen = _read(line, self.rfile)
                self.server.seen.append(seen)
                self.server.script(seen, connection)


def _read(line: bytes, reader: BufferedIOBase) -> Seen:
    method, target, _ = line.decode().split(" ")
    headers = []
    while (row := reader.readline()) not in (b"\r\n", b""):
        name, _, value = row.decode().partition(":")
        headers.append((name.lower(), value.strip()))
    length = int(dict(headers).get("content-length", "0"))
    return Seen(method, target, tuple(headers), reader.read(length))


def _unscripted(seen: Seen, connection: Connection) -> None:
    connection.reply(500, {"error": {"message": f"nobody wrote a script for {seen.target}"}})
