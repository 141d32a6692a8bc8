"""Answer what the framing refuses, in the caller's format. Writes to a responder, else pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import RequestError
from gateway.wire.answers import refuse
from gateway.wire.formats import Wire
from gateway.wire.http import Responder

from .request_parser import Refusal

_KINDS: Mapping[int, str] = {
    408: "timeout_error",
    413: "request_too_large",
    500: "api_error",
    503: "overloaded_error",
}
_CHAT = b"/chat/completions"


def reply_refusal(responder: Responder, refusal: Refusal, request_id: str) -> None:
    """Answer a request that no handler has seen, or that its handler failed on."""
    wait_s = refusal.retry_after_s
    headers = () if wait_s is None else ((b"retry-after", b"%d" % wait_s),)
    kind = _KINDS.get(refusal.status, "invalid_request_error")
    error = RequestError(refusal.status, kind, refusal.message, headers=headers)
    wire = Wire.CHAT if refusal.path.endswith(_CHAT) else Wire.MESSAGES
    refuse(responder, error, request_id, wire)
