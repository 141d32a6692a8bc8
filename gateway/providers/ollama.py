"""Ollama, by its OpenAI route; it takes no key unless a proxy before it does. Pure."""

from __future__ import annotations

from gateway.providers.dialect import Dialect, bearer_headers, versioned_target

DIALECT = Dialect(request_headers=bearer_headers, target=versioned_target)
