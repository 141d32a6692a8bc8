"""Error bodies of any upstream in the client's format. Pure.

The upstream's message is kept word for word: clients recover by its wording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.wire.decoding import UNREADABLE

MAX_TEXT_BYTES = 4096
"""A body that is no JSON (a proxy's page) is quoted up to here."""

KINDS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's error type by HTTP status; others are `invalid_request_error` or `api_error`."""

_OPENAI: Mapping[str, str] = {
    "api_error": "server_error",
    "overloaded_error": "server_error",
    "timeout_error": "server_error",
    "request_too_large": "invalid_request_error",
    "not_found_error": "invalid_request_error",
    "billing_error": "insufficient_quota",
}
_NAMED = frozenset({*KINDS.values(), "api_error"})
_ALIASES: Mapping[str, str] = {
    "rate_limit_exceeded": "rate_limit_error",
    "insufficient_quota": "rate_limit_error",
    "tokens": "rate_limit_error",
    "requests": "rate_limit_error",
    "invalid_api_key": "authentication_error",
    "context_length_exceeded": "invalid_request_error",
    "server_overloaded": "overloaded_error",
    "server_is_overloaded": "overloaded_error",
}
# Clients of either format recover from a full context by its name in their own format.
_TOO_LONG = "prompt is too long"
_TOO_LONG_CODE = "context_length_exceeded"


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error body says.

    Attributes:
        kind: Anthropic error type.
        message: The upstream's own words; never empty.
        code: The upstream's code or type beside the kind; None when it gave none.
    """

    kind: str
    message: str
    code: str | None = None


class _Error(msgspec.Struct, gc=False):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class _Document(msgspec.Struct, gc=False):
    error: _Error | str | None = None
    message: str | None = None  # vLLM, and the Responses API's `error` event
    type: str | None = None
    code: str | int | None = None
    detail: msgspec.Raw = msgspec.Raw(b"")  # FastAPI


_decode = msgspec.json.Decoder(_Document).decode


def read(status: int | None, body: bytes) -> Fault:
    """Return what an error body says; `status` None is an error in the middle of a stream."""
    document = _parsed(body)
    if isinstance(document.error, str):
        found = _Error(document.error, document.type, document.code)
    else:
        found = document.error or _Error(document.message, document.type, document.code)
    message = found.message or _text(document, body)
    if not message:
        message = "the upstream gave no reason" + (f" (status {status})" if status else "")
    code = None if found.code is None else str(found.code)
    return Fault(_kind(status, found), message, code or found.type)


def to_messages(fault: Fault) -> bytes:
    """Return an Anthropic error body."""
    message = fault.message
    if fault.code == _TOO_LONG_CODE and _TOO_LONG not in message.lower():
        message = f"{_TOO_LONG}: {message}"
    return msgspec.json.encode({"type": "error", "error": {"type": fault.kind, "message": message}})


def to_chat(fault: Fault) -> bytes:
    """Return an OpenAI error body; its code is OpenAI's own where known, else Anthropic's type."""
    code = fault.code if fault.code in _ALIASES else fault.kind
    if _TOO_LONG in fault.message.lower():
        code = _TOO_LONG_CODE
    kind = _OPENAI.get(fault.kind, fault.kind)
    error = {"message": fault.message, "type": kind, "param": None, "code": code}
    return msgspec.json.encode({"error": error})


def _parsed(body: bytes) -> _Document:
    try:
        return _decode(body)
    except UNREADABLE:
        return _Document()


def _text(document: _Document, body: bytes) -> str:
    raw = bytes(document.detail) or body
    text = raw[:MAX_TEXT_BYTES].decode(errors="replace").strip()
    return text.strip('"') if text.startswith('"') else text


def _kind(status: int | None, error: _Error) -> str:
    if status is None and error.code is not None and str(error.code).isdecimal():
        status = int(error.code) if len(str(error.code)) == 3 else None
    if status is None:
        names = (str(error.type), str(error.code))
        named = (name if name in _NAMED else _ALIASES.get(name) for name in names)
        return next((name for name in named if name), "api_error")
    fallback = "invalid_request_error" if 400 <= status < 500 else "api_error"
    return KINDS.get(status, fallback)
