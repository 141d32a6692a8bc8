"""A responder before another one: the base of what changes, copies or holds answers. Pure."""

from __future__ import annotations

from gateway.wire.http import Header, ReadSide, Responder


class PassingResponder:
    """Passes everything on as it is, see `Responder`; a subclass overrides what it does more to."""

    __slots__ = ("_responder",)

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    @property
    def started(self) -> bool:
        """Whether the head has been written."""
        return self._responder.started

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: bytes = b"application/json",
        headers: tuple[Header, ...] = (),
    ) -> None:
        """Answer in one piece; such answers are the gateway's own."""
        self._responder.reply(status, body, content_type, headers)

    def start(
        self, status: int, headers: tuple[Header, ...], first: bytes = b"", lines: bytes = b""
    ) -> None:
        """Write the head and a first piece."""
        self._responder.start(status, headers, first, lines)

    def write(self, data: bytes) -> None:
        """Send a piece."""
        self._responder.write(data)

    def end(self) -> None:
        """Finish the body cleanly."""
        self._responder.end()

    def abort(self) -> None:
        """Cut the connection."""
        self._responder.abort()

    def throttle(self, source: ReadSide | None) -> None:
        """Pause and resume this source with the client's reading; None unlinks it."""
        self._responder.throttle(source)
