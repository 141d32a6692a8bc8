"""The dialects providers speak, one row each. Pure.

Every row builds the headers of an upstream request from the client's; a new dialect is a new module
and a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.providers import anthropic
from gateway.wire.http import Header


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between kinds of providers.

    Attributes:
        request_headers: From the client's headers, the key (None = forward the client's credential)
            and the configured extra headers, to the end-to-end headers to send.
    """

    request_headers: Callable[
        [tuple[Header, ...], str | None, tuple[Header, ...]], tuple[Header, ...]
    ]


PROVIDERS: Mapping[str, Dialect] = {
    "anthropic": Dialect(request_headers=anthropic.request_headers),
}
