"""OpenAI, and servers that answer like it. Pure."""

from __future__ import annotations

import re

from gateway.config.settings import OPENAI_DOMAIN, ProviderSettings
from gateway.providers.dialect import PLAIN, Dialect, bearer_headers, versioned_target
from gateway.wire.form import OPENAI, Form

_OWN_MODEL = re.compile(r"(?:.*/)?(?:chatgpt|gpt-[3-9]|o[1-9](?:-|$))", re.IGNORECASE)


def takes_stream_options(settings: ProviderSettings) -> bool | None:
    """Return whether it is OpenAI itself; None for others, unless one is known to refuse them.

    Mistral answers 422 to fields it does not know, and tells the usage unasked.
    """
    if settings.is_at(OPENAI_DOMAIN):
        return True
    return False if settings.is_at("mistral.ai") else None


def form(settings: ProviderSettings, model: str) -> Form:
    """Return how OpenAI's models are asked, wherever they are served, and how those of others are.

    OpenAI's reasoning models refuse `max_tokens`. Of those that answer like OpenAI some refuse
    `max_completion_tokens`, Mistral for one.
    Source: OpenAI, API reference, "Create chat completion"; Mistral AI, "Chat Completion API".
    """
    own = settings.is_at(OPENAI_DOMAIN) or _OWN_MODEL.match(model)
    return OPENAI if own else PLAIN


DIALECT = Dialect(
    request_headers=bearer_headers,
    target=versioned_target,
    takes_stream_options=takes_stream_options,
    form=form,
    needs_key=True,
    vendor="openai",
    key_vendor="openai",
)
