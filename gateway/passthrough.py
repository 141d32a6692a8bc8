"""Answer which models there are: the configured ones, else what a provider says; leaves no record.

Costs nothing. A list or an error comes in the format of the client, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway import model_list
from gateway.describe import own_key_refused
from gateway.errors import RequestError, UpstreamError
from gateway.links import Link, key_vendor
from gateway.model_list import Model
from gateway.translate import TRANSLATORS
from gateway.wire.formats import Wire
from gateway.wire.http import Header, Request

MAX_BYTES = 8 * 1024 * 1024
_MESSAGES = Wire.MESSAGES
_JSON = (b"content-type", b"application/json")
_ALL = b"limit=%d" % model_list.MAX_PAGE

Found = tuple[int, tuple[Header, ...], bytes]
"""Status, headers but the length, body."""


def wire_of(request: Request) -> Wire:
    """Return the format of a client of whom only the headers say it.

    Anthropic's clients name a version, and show a key in a header of its own; OpenAI's do neither.
    """
    names = request.head.first
    anthropic = b"anthropic-version" in names or b"x-api-key" in names
    return _MESSAGES if anthropic else Wire.CHAT


def vendor_of(request: Request, *, authenticated: bool) -> str | None:
    """Return whose key a client shows; None when it shows a token of the gateway's, or nothing."""
    return key_vendor(request.headers, wire_of(request), authenticated=authenticated)


def asked_provider(links: Iterable[Link], vendor: str | None) -> Link:
    """Return the first provider that the client's key, or one of the gateway's, fits.

    The first of all where none does: it says what is missing.
    """
    first, *others = links
    return next((one for one in (first, *others) if one.refusal(vendor) is None), first)


async def told_models(
    models: Sequence[str], link: Link, request: Request, target: bytes, vendor: str | None
) -> Found:
    """Return what is answered to a GET of the list of models, or of one of them.

    Args:
        models: The configured ids; empty asks the provider.
        link: The provider.
        vendor: Whose key the client shows.

    Raises RequestError.
    """
    wire = wire_of(request)
    if models:
        listed = [Model(name) for name in models]
        return 200, (_JSON,), model_list.answer(listed, target, wire)
    # Whichever API a provider is asked by for answers, there are two forms of the list.
    foreign = (link.wire is _MESSAGES) is not (wire is _MESSAGES)
    link.ready(vendor)
    headers = link.headers(request.headers, wire if foreign else link.wire, vendor)
    path, _, query = target.partition(b"?")
    if foreign:
        query = _ALL if link.wire is _MESSAGES else b""
    sent = link.dialect.target(link.settings, path, query, "")
    try:
        found = await _fetch(link, sent, headers)
    except UpstreamError as error:
        raise error.refusal(link.name) from error
    status, _, body = found
    if link.key is not None and status in (401, 403):
        raise own_key_refused(link.name, status, body)
    return _put(link, found, target, wire) if foreign else found


async def _fetch(link: Link, target: bytes, headers: tuple[Header, ...]) -> Found:
    timeout_s = link.settings.timeout_s
    answer = await link.origin.send(b"GET", target, headers, b"", head_timeout_s=timeout_s)
    try:
        body, whole = await answer.read(MAX_BYTES, idle_timeout_s=timeout_s)
        if not whole:
            raise RequestError(502, "api_error", f"provider {link.name}: the answer is too large")
        kept = (header for header in answer.headers if header[0] != b"content-length")
        return answer.status, tuple(kept), body
    finally:
        answer.release()


def _put(link: Link, found: Found, target: bytes, wire: Wire) -> Found:
    """Return an answer in the other vendor's form; what is none of either, as it came."""
    status, headers, body = found
    if b"content-encoding" in dict(headers):
        return found
    if 200 <= status < 300:
        put = model_list.translated(body, target, wire)
    else:
        put = TRANSLATORS[wire, link.wire].error(status, body)
    if put is None:
        return found
    kept = (header for header in headers if not header[0].startswith(b"content-"))
    return status, (*kept, _JSON), put
