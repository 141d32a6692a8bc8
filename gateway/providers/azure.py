"""Azure OpenAI: deployment in the path, API version in the query, key in `api-key`. Pure."""

from __future__ import annotations

from urllib.parse import quote

from gateway.config.settings import ProviderSettings
from gateway.providers.dialect import Dialect, with_key
from gateway.wire.body import Body
from gateway.wire.http import Header

API_VERSION = "2024-10-21"
RESPONSES_API_VERSION = "2025-04-01-preview"
"""Older versions do not know the Responses API."""

STREAM_OPTIONS_SINCE = "2024-09-01"
"""Older versions refuse a request with `stream_options`."""


def request_headers(
    headers: tuple[Header, ...], key: str | None, extra: tuple[Header, ...]
) -> tuple[Header, ...]:
    """Return headers with the key as Azure wants it."""
    added = () if key is None else ((b"api-key", key.encode()),)
    return with_key(headers, added, extra)


def target(settings: ProviderSettings, path: bytes, query: bytes, model: str) -> bytes:
    """Return the deployment's path; the Responses API is one path for all deployments."""
    path = path.removeprefix(b"/v1")
    responses = path == b"/responses"
    version = settings.api_version or (RESPONSES_API_VERSION if responses else API_VERSION)
    deployment = quote(settings.deployment or model, safe="").encode()
    prefix = b"/openai" if responses else b"/openai/deployments/" + deployment
    known = b"&" + query if query else b""
    return prefix + path + b"?api-version=" + quote(version, safe="").encode() + known


def takes_stream_options(settings: ProviderSettings, body: Body) -> bool:
    """Return whether the version knows the field; answers from own data refuse it in any."""
    version = settings.api_version or API_VERSION
    return version >= STREAM_OPTIONS_SINCE and not body.raw("data_sources")


DIALECT = Dialect(
    request_headers=request_headers,
    target=target,
    takes_stream_options=takes_stream_options,
    needs_key=True,
    vendor="openai",
)
