"""OpenAI, and servers that answer like it. Pure."""

from __future__ import annotations

from gateway.providers.dialect import Dialect, bearer_headers, versioned_target

DIALECT = Dialect(
    request_headers=bearer_headers,
    target=versioned_target,
    needs_key=True,
    vendor="openai",
    key_vendor="openai",
)
