"""Ollama, by its OpenAI route or its own API; it takes a key only behind a proxy. Pure."""

from __future__ import annotations

from gateway.providers.dialect import Dialect, bearer_headers, versioned_target
from gateway.wire.formats import Wire

DIALECT = Dialect(
    request_headers=bearer_headers,
    target=versioned_target,
    apis={"responses": Wire.RESPONSES, "native": Wire.OLLAMA},
)
