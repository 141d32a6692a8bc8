"""Forward a request that costs nothing and leaves no record, e.g. the list of models."""

from __future__ import annotations

from gateway.errors import RequestError, UpstreamError, UpstreamFault
from gateway.links import Link
from gateway.redact import redact
from gateway.upstream import Answer
from gateway.wire.answers import reply_error
from gateway.wire.http import Header, Request, Responder

MAX_BYTES = 8 * 1024 * 1024


async def pass_through(
    link: Link, request: Request, responder: Responder, target: bytes, request_id: str
) -> None:
    """Forward a GET and answer with what the provider says, its errors included."""
    try:
        status, headers, body = await _fetch(link, request, target)
    except RequestError as error:
        reply_error(responder, error.status, error.kind, str(error), request_id)
    except UpstreamError as error:
        status = 504 if error.fault is UpstreamFault.TIMEOUT else 502
        text = redact(f"provider {link.name} failed ({error.fault}): {error}")
        reply_error(responder, status, "api_error", text, request_id)
    else:
        framing = (b"content-length", b"%d" % len(body))
        own = (b"x-gateway-request-id", request_id.encode())
        responder.start(status, (*headers, own, framing), body)
        responder.end()


def forwarded_headers(answer: Answer) -> tuple[Header, ...]:
    """Return the provider's headers for the client: all, but none that pose as the gateway's."""
    return tuple(header for header in answer.headers if not header[0].startswith(b"x-gateway-"))


async def _fetch(
    link: Link, request: Request, target: bytes
) -> tuple[int, tuple[Header, ...], bytes]:
    headers = link.ready().request_headers(request.headers, link.key, link.extra)
    timeout_s = link.settings.timeout_s
    answer = await link.origin.send(b"GET", target, headers, b"", head_timeout_s=timeout_s)
    try:
        body, whole = await answer.read(MAX_BYTES, idle_timeout_s=timeout_s)
        if not whole:
            raise RequestError(502, "api_error", f"provider {link.name}: the answer is too large")
        kept = (header for header in forwarded_headers(answer) if header[0] != b"content-length")
        return answer.status, tuple(kept), body
    finally:
        answer.release()
