"""What is said about a choice, to the client and in the log; the same for many requests. Pure."""

from __future__ import annotations

import msgspec

from gateway.describe import header_text
from gateway.log_lines import encoded
from gateway.redact import redact
from gateway.wire.http import header_lines


class Told(msgspec.Struct, frozen=True):
    """What is said about a choice.

    Attributes:
        lines: Of an answer's head: who is asked, and for which model.
        route: A line of the log, encoded.
        override: One more; empty for a request that keeps its model.
        asked: One more, of each time that the provider is asked.
    """

    lines: bytes = b""
    route: bytes = b""
    override: bytes = b""
    asked: bytes = b""


def tell(
    *, agent: str, provider: str, reason: str, model: str, chosen: str, requested: str
) -> Told:
    """Return what is said about a choice.

    Args:
        model: The provider's own name of the model.
        chosen: The model before the provider's alias.
        requested: The client's model.
    """
    headers = [
        (b"x-gateway-provider", header_text(provider)),
        (b"x-gateway-model", header_text(model)),
    ]
    override = b""
    if chosen != requested:
        headers.append((b"x-gateway-override", header_text(f"{requested}=>{chosen}")))
        override = encoded(f"Model override: {line(requested)} → {line(chosen)}")
    route = f"agent_type={line(agent)}, provider={provider}, reason={line(reason)}"
    return Told(
        lines=header_lines(headers),
        route=encoded(f"Routing request: {route}"),
        override=override,
        asked=encoded(f"Forwarding to provider: {provider}"),
    )


def line(text: str) -> str:
    """Return a name for a log line, on one line whatever it holds."""
    return text if text.isprintable() else redact(text)
