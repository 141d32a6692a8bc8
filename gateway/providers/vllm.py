"""vLLM's OpenAI server. It takes either name of the limit, before 0.6.4 the first alone. Pure."""

from __future__ import annotations

from gateway.providers.dialect import Dialect, bearer_headers, versioned_target

DIALECT = Dialect(request_headers=bearer_headers, target=versioned_target)
