"""What differs between kinds of providers, and what the OpenAI-type ones share. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.config.settings import ProviderSettings
from gateway.wire.form import MAX_TOKENS, Form
from gateway.wire.formats import Wire
from gateway.wire.hops import HOP_BY_HOP
from gateway.wire.http import Header

CREDENTIALS = frozenset(
    {b"authorization", b"x-api-key", b"api-key", b"cookie", b"proxy-authorization"}
)
"""Headers that may hold a key of the client's."""

# What belongs to one hop, and two headers that are meant for the gateway.
_DROPPED = HOP_BY_HOP.union(
    (b"host", b"expect", b"content-length", b"accept-encoding", b"x-agent-type", b"x-project-id")
)
_REPLACED = _DROPPED | CREDENTIALS
_VERSION = re.compile(r"/v\d+[a-z0-9]*/?$")

BuildHeaders = Callable[[tuple[Header, ...], str | None, tuple[Header, ...]], tuple[Header, ...]]
BuildTarget = Callable[[ProviderSettings, bytes, bytes, str], bytes]
TakesOptions = Callable[[ProviderSettings], bool | None]
BuildForm = Callable[[ProviderSettings, str], Form]

PLAIN = Form(limit=MAX_TOKENS, accounts=False)
"""What everybody who answers like OpenAI takes: the output limit by its first name, and nothing
for OpenAI's own accounts. Most servers pass over what they do not know, some refuse it (Mistral
answers 422 to `user`), and only OpenAI's own models need the newer name of the limit."""


def always(_: ProviderSettings) -> bool:
    """Return True: the provider knows `stream_options`, or passes over what it does not know."""
    return True


def in_every_case(form: Form) -> BuildForm:
    """Return what asks all models of a provider in one form."""
    return lambda _settings, _model: form


_PLAINLY = in_every_case(PLAIN)


def _responses() -> Mapping[str, Wire]:
    return {"responses": Wire.RESPONSES}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between kinds of providers.

    Attributes:
        request_headers: From the client's headers, the key (None = keep the client's credential)
            and the configured extra headers, to the end-to-end headers to send.
        target: From the settings, the path of the API, the query and the model, to the path and
            query that follow the base URL.
        wire: The format it speaks.
        apis: Formats it speaks instead when the setting `api` names one of these.
        takes_stream_options: From the settings, to whether a request may say `stream_options`; None
            when nobody knows: not all who speak OpenAI's format take it.
        form: From the settings and the model, to how a request is written that no client wrote.
        needs_key: Whether it answers nobody without a key.
        vendor: Whose models it serves; None for servers of anybody's models.
        key_vendor: Whose keys it takes; None when a client's key never fits.
        deploys: Whether a deployment stands for the model, so that its name is the model's.
        own_headers: Sent where the client's headers were in another wire format.
    """

    request_headers: BuildHeaders
    target: BuildTarget
    wire: Wire = Wire.CHAT
    apis: Mapping[str, Wire] = field(default_factory=_responses)
    takes_stream_options: TakesOptions = always
    form: BuildForm = _PLAINLY
    needs_key: bool = False
    vendor: str | None = None
    key_vendor: str | None = None
    deploys: bool = False
    own_headers: tuple[Header, ...] = ()


def bearer_headers(
    headers: tuple[Header, ...], key: str | None, extra: tuple[Header, ...]
) -> tuple[Header, ...]:
    """Return headers with the key as a bearer token."""
    added = () if key is None else ((b"authorization", b"Bearer " + key.encode()),)
    return with_key(headers, added, extra)


def with_key(
    headers: tuple[Header, ...], added: tuple[Header, ...], extra: tuple[Header, ...]
) -> tuple[Header, ...]:
    """Return the client's headers in its order, with these credentials instead of its own.

    Args:
        added: The gateway's credentials; empty keeps the client's.
        extra: Configured for the provider; each replaces the client's of the same name.
    """
    dropped = _REPLACED if added else _DROPPED
    if extra:
        dropped |= {name for name, _ in extra}
    kept = [header for header in headers if header[0] not in dropped]
    return (*kept, *added, *extra, (b"accept-encoding", b"identity"))


def versioned_target(settings: ProviderSettings, path: bytes, query: bytes, _: str) -> bytes:
    """Return path and query, without the `/v1` a base URL such as `https://host/v1` ends in."""
    if _VERSION.search(urlsplit(settings.base_url).path):
        path = path.removeprefix(b"/v1")
    return joined(path, query)


def joined(path: bytes, query: bytes) -> bytes:
    """Return path and query as they stand in a request line."""
    return path + b"?" + query if query else path
