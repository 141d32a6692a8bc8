"""Meter an event stream that passes in an encoding, by what a decoded copy says. Pure."""

from __future__ import annotations

from collections.abc import Callable

from gateway.wire.stream_meter import StreamMeter
from gateway.wire.usage import Reading


class DecodedMeter(StreamMeter):
    """Give it what a piece says before the piece itself; another meter looks at that.

    The offset of the terminal event is 0: no byte of the piece that completes it stands for that
    event alone.

    Attributes:
        lost: Whether there was something that could not be read.
    """

    __slots__ = ("_meter", "_readers", "lost")

    def __init__(self, meter: StreamMeter, *readers: Callable[[bytes], object]) -> None:
        """Look at nothing yet.

        Args:
            readers: Are given what the pieces say, too.
        """
        super().__init__()
        self.lost = False
        self._meter, self._readers = meter, (*readers, meter.feed)

    @property
    def pending(self) -> bool:
        """Whether the next piece may end the stream, whatever its bytes look like."""
        return True

    def read(self, data: bytes) -> None:
        """Look at a part of what the next piece says."""
        for read in self._readers:
            read(data)
        self.error = self._meter.error

    def lose(self) -> None:
        """Note that nothing of what follows can be read."""
        self.lost = True

    def feed(self, _: bytes) -> None:
        """Note that a piece passes whose content has been looked at."""
        if self._meter.stop_at is not None:
            self.stop_at = 0

    def finish(self) -> None:
        """Take the stream, which has come to its end, for complete when it could not be read."""
        if self.lost:
            self.stop_at = 0

    def reading(self) -> Reading:
        """Return what is known so far; no usage when a part of it could not be read."""
        found = self._meter.reading()
        unknown = self.lost and self._meter.stop_at is None
        return Reading(None, found.model) if unknown else found
