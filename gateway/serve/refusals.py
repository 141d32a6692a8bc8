"""Answer what the framing refuses, in the caller's format. Writes to a responder, else pure."""

from __future__ import annotations

import uuid
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


def reply_refusal(responder: Responder, refusal: Refusal) -> None:
    """Answer a request that no handler has seen, or that its handler failed on."""
    wait_s = refusal.retry_after_s
    headers = () if wait_s is None else ((b"retry-after", b"%d" % wait_s),)
    kind = _KINDS.get(refusal.status, "invalid_request_error")
    error = RequestError(refusal.status, kind, refusal.message, headers=headers)
    refuse(responder, error, f"gw_{uuid.uuid4().hex}", _wire(refusal.target))


def _wire(target: bytes) -> Wire:
    """Return the format spoken at a path, as far as it has arrived."""
    return Wire.CHAT if target.partition(b"?")[0].endswith(_CHAT) else Wire.MESSAGES
