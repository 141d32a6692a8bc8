"""Azure OpenAI: deployment in the path, API version in the query, key in `api-key`. Pure."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from gateway.config.settings import ProviderSettings
from gateway.providers.dialect import PLAIN, Dialect, with_key
from gateway.wire.form import OPENAI, Form
from gateway.wire.http import Header

API_VERSION = "2024-10-21"
RESPONSES_API_VERSION = "2025-04-01-preview"
"""The version asked for where none is set: it knows the Responses API."""

NEWER_FIELDS_SINCE = "2024-09-01"
"""Older versions refuse a request with `stream_options` or `max_completion_tokens`.
Source: Azure OpenAI, "API version lifecycle", changes between 2024-09-01-preview and 2024-08-01."""


_OLDER = replace(PLAIN, accounts=True)


def request_headers(
    headers: tuple[Header, ...], key: str | None, extra: tuple[Header, ...]
) -> tuple[Header, ...]:
    """Return headers with the key as Azure wants it."""
    added = () if key is None else ((b"api-key", key.encode()),)
    return with_key(headers, added, extra)


def target(settings: ProviderSettings, path: bytes, query: bytes, model: str) -> bytes:
    """Return the deployment's path; Responses, which names the model, and models share one."""
    path = path.removeprefix(b"/v1")
    responses, models = path == b"/responses", path.split(b"/")[1] == b"models"
    version = settings.api_version or (RESPONSES_API_VERSION if responses else API_VERSION)
    deployment = quote(settings.deployment or model, safe="").encode()
    prefix = b"/openai" if responses or models else b"/openai/deployments/" + deployment
    known = b"&" + query if query else b""
    return prefix + path + b"?api-version=" + quote(version, safe="").encode() + known


def knows_newer_fields(settings: ProviderSettings) -> bool:
    """Return whether the version knows `stream_options` and `max_completion_tokens`."""
    return (settings.api_version or API_VERSION) >= NEWER_FIELDS_SINCE


def form(settings: ProviderSettings, _: str) -> Form:
    """Return how the version is asked."""
    return OPENAI if knows_newer_fields(settings) else _OLDER


DIALECT = Dialect(
    request_headers=request_headers,
    target=target,
    takes_stream_options=knows_newer_fields,
    form=form,
    needs_key=True,
    vendor="openai",
    deploys=True,
)
