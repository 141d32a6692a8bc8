"""Sends one canary as a stream and compares what came with what must have come."""

from __future__ import annotations

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


def send(site: Site, canary: Canary, credential: str) -> Sent:
    """Ask a canary; a model that does not obey is asked once more, without a stream."""
    stream = exchange(site.url, canary.stream, credential, site.world)
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
