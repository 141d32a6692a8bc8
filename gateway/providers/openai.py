"""OpenAI, and servers that answer like it. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

from gateway.config.settings import ProviderSettings
from gateway.providers.dialect import PLAIN, Dialect, bearer_headers, versioned_target
from gateway.wire.form import OPENAI, Form

OWN_DOMAIN = "openai.com"

_OWN_MODEL = re.compile(r"(?:.*/)?(?:chatgpt|gpt-[3-9]|o[1-9](?:-|$))", re.IGNORECASE)


def takes_stream_options(settings: ProviderSettings) -> bool | None:
    """Return whether it is OpenAI itself: of those that answer like it some refuse the field."""
    return True if _is_own(settings.base_url) else None


def form(settings: ProviderSettings, model: str) -> Form:
    """Return how OpenAI's models are asked, wherever they are served, and how those of others are.

    OpenAI's reasoning models refuse `max_tokens`. Of those that answer like OpenAI some refuse
    `max_completion_tokens`, Mistral for one.
    Source: OpenAI, API reference, "Create chat completion"; Mistral AI, "Chat Completion API".
    """
    return OPENAI if _is_own(settings.base_url) or _OWN_MODEL.match(model) else PLAIN


@lru_cache(256)
def _is_own(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return host == OWN_DOMAIN or host.endswith(f".{OWN_DOMAIN}")


DIALECT = Dialect(
    request_headers=bearer_headers,
    target=versioned_target,
    takes_stream_options=takes_stream_options,
    form=form,
    needs_key=True,
    vendor="openai",
    key_vendor="openai",
)
