"""The gateway's own answers: JSON with exact decimals, Anthropic-style errors."""

from __future__ import annotations

import msgspec

from gateway.wire.http import Responder

_encode = msgspec.json.Encoder(decimal_format="number").encode


def to_json(document: object) -> bytes:
    """Return JSON; Decimal becomes a number with all its digits."""
    return _encode(document)


def error_body(kind: str, message: str, request_id: str) -> bytes:
    """Return an error answer, e.g. of kind `invalid_request_error`."""
    return _encode(
        {
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": request_id,
        }
    )


def error_event(kind: str, message: str, request_id: str) -> bytes:
    """Return the event that ends a broken stream."""
    return b"event: error\ndata: " + error_body(kind, message, request_id) + b"\n\n"


def reply_error(
    responder: Responder, status: int, kind: str, message: str, request_id: str
) -> None:
    """Answer a request with an error."""
    headers = ((b"x-gateway-request-id", request_id.encode()),)
    responder.reply(status, error_body(kind, message, request_id), headers=headers)
