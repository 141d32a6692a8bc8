"""DeepSeek: OpenAI chat completions at paths without a version. Pure."""

from __future__ import annotations

from gateway.config.settings import ProviderSettings
from gateway.providers.dialect import Dialect, bearer_headers, joined


def target(_: ProviderSettings, path: bytes, query: bytes, __: str) -> bytes:
    """Return path and query."""
    return joined(path.removeprefix(b"/v1"), query)


DIALECT = Dialect(request_headers=bearer_headers, target=target, needs_key=True, vendor="deepseek")
