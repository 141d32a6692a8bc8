"""The gateway's own answers: JSON with exact decimals, errors in the caller's wire format."""

from __future__ import annotations

import msgspec

from gateway.errors import RequestError
from gateway.wire.formats import Wire
from gateway.wire.http import Responder

_encode = msgspec.json.Encoder(decimal_format="number").encode


def to_json(document: object) -> bytes:
    """Return JSON; Decimal becomes a number with all its digits."""
    return _encode(document)


def error_body(kind: str, message: str, request_id: str, wire: Wire = Wire.MESSAGES) -> bytes:
    """Return an error answer, e.g. of kind `invalid_request_error`."""
    error = {"type": kind, "message": message}
    if wire is Wire.MESSAGES:
        return _encode({"type": "error", "error": error, "request_id": request_id})
    return _encode({"error": error | {"param": None, "code": kind}})


def error_event(kind: str, message: str, request_id: str, wire: Wire = Wire.MESSAGES) -> bytes:
    """Return the event that ends a broken stream."""
    name = b"event: error\n" if wire is Wire.MESSAGES else b""
    return name + b"data: " + error_body(kind, message, request_id, wire) + b"\n\n"


def reply_error(
    responder: Responder,
    status: int,
    kind: str,
    message: str,
    request_id: str,
    wire: Wire = Wire.MESSAGES,
) -> None:
    """Answer a request with an error."""
    refuse(responder, RequestError(status, kind, message), request_id, wire)


def refuse(
    responder: Responder, error: RequestError, request_id: str, wire: Wire = Wire.MESSAGES
) -> None:
    """Answer a request with the error it met, and with the headers that belong to it."""
    headers = ((b"x-gateway-request-id", request_id.encode()), *error.headers)
    body = error_body(error.kind, str(error), request_id, wire)
    responder.reply(error.status, body, headers=headers)
