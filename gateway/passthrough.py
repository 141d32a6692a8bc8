"""Forward a request that costs nothing and leaves no record, e.g. the list of models."""

from __future__ import annotations

from gateway.errors import RequestError, UpstreamError
from gateway.links import Link, key_vendor
from gateway.redact import redact
from gateway.wire.answers import refuse, reply_error
from gateway.wire.formats import Wire
from gateway.wire.http import Header, Request, Responder

MAX_BYTES = 8 * 1024 * 1024


async def pass_through(
    link: Link,
    request: Request,
    responder: Responder,
    target: bytes,
    request_id: str,
    *,
    authenticated: bool,
) -> None:
    """Forward a GET and answer with what the provider says, its errors included.

    Args:
        authenticated: Whether the client's credential is a token of the gateway's.
    """
    try:
        status, headers, body = await _fetch(link, request, target, authenticated=authenticated)
    except RequestError as error:
        refuse(responder, error, request_id)
    except UpstreamError as error:
        told = error.refusal(link.name)
        reply_error(responder, told.status, told.kind, redact(str(told)), request_id)
    else:
        framing = (b"content-length", b"%d" % len(body))
        own = (b"x-gateway-request-id", request_id.encode())
        responder.start(status, (*headers, own, framing), body)
        responder.end()


async def _fetch(
    link: Link, request: Request, target: bytes, *, authenticated: bool
) -> tuple[int, tuple[Header, ...], bytes]:
    # Which API the client speaks cannot be seen from a list of models; it is taken for the
    # provider's own, unless the headers say Anthropic.
    client = Wire.MESSAGES if request.header(b"anthropic-version") is not None else link.wire
    vendor = key_vendor(request.headers, client, authenticated=authenticated)
    link.ready(vendor)
    headers = link.headers(request.headers, client, vendor)
    path, _, query = target.partition(b"?")
    sent = link.dialect.target(link.settings, path, query, "")
    timeout_s = link.settings.timeout_s
    answer = await link.origin.send(b"GET", sent, headers, b"", head_timeout_s=timeout_s)
    try:
        body, whole = await answer.read(MAX_BYTES, idle_timeout_s=timeout_s)
        if not whole:
            raise RequestError(502, "api_error", f"provider {link.name}: the answer is too large")
        kept = (header for header in answer.headers if header[0] != b"content-length")
        return answer.status, tuple(kept), body
    finally:
        answer.release()
