"""What is kept of one request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from gateway.overrides.shape import Shape
from gateway.wire.formats import Wire
from gateway.wire.usage import Usage


class Endpoint(StrEnum):
    """The recorded parts of the client API."""

    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    CHAT = "chat"


WIRES: Mapping[Endpoint, Wire] = {
    Endpoint.MESSAGES: Wire.MESSAGES,
    Endpoint.COUNT_TOKENS: Wire.MESSAGES,
    Endpoint.CHAT: Wire.CHAT,
}
"""The format spoken at each endpoint."""


class CacheOutcome(StrEnum):
    """What the response cache had for a request."""

    HIT = "hit"
    MISS = "miss"


class AuditRecord(msgspec.Struct, frozen=True, gc=False):
    """One request, from its arrival to its end.

    Attributes:
        seq: Counts the requests a process accepted, from 1.
        at_us: Time of arrival, microseconds since the epoch, UTC.
        model: What was asked of the provider; None when the request named no model.
        status: What the client was answered; 499 when it left before any answer.
        success: A complete answer with a 2xx status.
        partial: The answer began and did not reach its end.
        overridden: Whether another model than the requested one was asked.
        counted: Whether an override enters the override statistics.
        ttft_us: Microseconds from arrival to the first byte for the client; None without one.
        usage: None when the answer held none.
        cost_pico: Picodollars; None when usage or price is unknown.
        saved_pico: Picodollars an override saved, the prices of the two models compared; None when
            unknown or not overridden. The ledger takes off what the change of model itself cost.
        user: The client's name, as its token says; None without client tokens.
        route_reason: Why this provider was asked, e.g. "default"; None when none was chosen.
        adapted: What was changed so that the model accepts the request, one word each.
        skipped_reason: Why an override that matched was not applied, or was taken back; else None.
        cache: What the response cache had; after a hit no provider was asked. None: not looked.
        agent_id: The client's own id of a sub-agent; None for a session's main thread.
        chosen: The model the rules chose, before a provider's alias and any way back; None when
            none was chosen.
        rewrite_pico: What a token written to the requested model's prompt cache costs more than
            one read from it, picodollars, for 5 minutes and for an hour; zeros when unknown.
        limits: What the provider says the model may be asked for in a minute, by name.
        request_body: As received; None when bodies are not kept. Secrets leave it at the ledger.
        response_body: As sent, cut at a bound; None when bodies are not kept.
    """

    request_id: str
    boot_id: str
    seq: int
    at_us: int
    endpoint: Endpoint
    provider: str
    model: str | None
    requested_model: str | None
    status: int
    success: bool
    partial: bool
    stream: bool
    overridden: bool
    latency_us: int
    ttft_us: int | None = None
    cost_pico: int | None = None
    saved_pico: int | None = None
    agent_type: str | None = None
    agent_source: str | None = None
    project_id: str | None = None
    session_id: str | None = None
    client: str | None = None
    billing: str | None = None
    error_message: str | None = None
    upstream_request_id: str | None = None
    user: str | None = None
    route_reason: str | None = None
    skipped_reason: str | None = None
    cache: CacheOutcome | None = None
    agent_id: str | None = None
    chosen: str | None = None
    # Up to here the columns of the ledger, see `writing`.
    usage: Usage | None = None
    shape: Shape = Shape()
    adapted: tuple[str, ...] = ()
    counted: bool = True
    rewrite_pico: tuple[int, int] = (0, 0)
    limits: tuple[tuple[str, int], ...] = ()
    request_body: bytes | None = None
    response_body: bytes | None = None

    def written_again_pico(self, tokens: int) -> int:
        """Return what so many cache writes would have cost less as reads, picodollars."""
        usage = self.usage or Usage()
        hour = min(tokens, usage.cache_write_1h_tokens)
        return hour * self.rewrite_pico[1] + (tokens - hour) * self.rewrite_pico[0]
