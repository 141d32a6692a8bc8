"""Sends canaries as streams and compares what came with what must have come."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cco_migrate.checks.sending import Exchange, exchange
from cco_migrate.probes.canaries import Canary, lost_piece, tool_fault
from cco_migrate.probes.site import Site

REFUSED = frozenset({401, 403})
"""What an upstream says of a credential that is not good: a fault of ours, not of the gateway."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One canary and its answers.

    Attributes:
        whole: The same question answered without a stream; None where nobody had to ask.
        compared: Whether it could be told if content is missing.
        loss: What is missing, in words; empty when nothing is, or nobody can tell.
    """

    canary: Canary
    stream: Exchange
    whole: Exchange | None
    compared: bool
    loss: str

    @property
    def refused(self) -> bool:
        """Whether the credential was not accepted."""
        return self.stream.status in REFUSED

    @property
    def request_ids(self) -> tuple[str | None, ...]:
        """The ids of all requests that were sent; None for an answer that names none."""
        asked = (self.stream, self.whole) if self.whole else (self.stream,)
        return tuple(one.request_id for one in asked if one.status is not None)


@dataclass(frozen=True, slots=True)
class Burst:
    """Canaries that were asked at one time, none of them waiting for the answer to another.

    Attributes:
        took_s: From asking the first to the end of the last stream.
    """

    sent: tuple[Sent, ...]
    took_s: float

    @property
    def whole(self) -> bool:
        """Whether no stream of it broke: what broke may have ended early."""
        return not any(one.stream.faults for one in self.sent)


def send_burst(site: Site, canaries: Sequence[Canary], credential: str) -> Burst:
    """Ask canaries at one time; what is in doubt is asked once more, one after another."""
    clock = site.world.clock
    _ = site.world.http.client  # opened here, for the threads share it

    def asked(canary: Canary) -> Exchange:
        return exchange(site.url, canary.stream, credential, site.world)

    with ThreadPoolExecutor(len(canaries)) as pool:
        began_s = clock.monotonic()
        streams = tuple(pool.map(asked, canaries))
        took_s = clock.monotonic() - began_s
    pairs = zip(canaries, streams, strict=True)
    return Burst(tuple(_compared(site, one, stream, credential) for one, stream in pairs), took_s)


def _compared(site: Site, canary: Canary, stream: Exchange, credential: str) -> Sent:
    """Return whether anything is missing; a model that does not obey is asked without a stream."""
    if stream.status != 200:
        return Sent(canary, stream, None, compared=False, loss="")
    if canary.wants_tool:
        return Sent(canary, stream, None, compared=True, loss=tool_fault(stream.tool_calls))
    if stream.text.strip() == canary.words:
        return Sent(canary, stream, None, compared=True, loss="")
    whole = exchange(site.url, canary.whole, credential, site.world)
    if whole.text == stream.text:
        return Sent(canary, stream, whole, compared=bool(whole.text), loss="")
    piece = lost_piece(whole.text, stream.text)
    # A model that says less a second time counts fewer tokens; one that was cut counts the same.
    if piece is None or stream.usage.get("output_tokens") != whole.usage.get("output_tokens"):
        return Sent(canary, stream, whole, compared=False, loss="")
    begin, length = piece
    place = "at its beginning" if not begin else f"after {begin} characters"
    loss = f"the stream lacks {length} characters {place}: {whole.text[begin:][:length]!r}"
    return Sent(canary, stream, whole, compared=True, loss=loss)
