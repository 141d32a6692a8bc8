"""OpenAI, and servers that answer like it. Pure."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from gateway.config.settings import ProviderSettings
from gateway.providers.dialect import Dialect, bearer_headers, versioned_target
from gateway.wire.body import Body

OWN_DOMAIN = "openai.com"


def takes_stream_options(settings: ProviderSettings, _: Body) -> bool:
    """Return whether it is OpenAI itself: of those that answer like it some refuse the field."""
    return _is_own(settings.base_url)


@lru_cache(256)
def _is_own(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return host == OWN_DOMAIN or host.endswith(f".{OWN_DOMAIN}")


DIALECT = Dialect(
    request_headers=bearer_headers,
    target=versioned_target,
    takes_stream_options=takes_stream_options,
    needs_key=True,
    vendor="openai",
    key_vendor="openai",
)
