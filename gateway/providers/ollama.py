"""Ollama, by its OpenAI route or its own API; it takes a key only behind a proxy. Pure."""

from __future__ import annotations

from gateway.providers.dialect import Dialect, bearer_headers, in_every_case, versioned_target
from gateway.wire.form import MAX_TOKENS, Form
from gateway.wire.formats import Wire

FORM = Form(limit=MAX_TOKENS, effort_thinks=True, highest="high", off="none", accounts=False)
"""Ollama's OpenAI route knows `max_tokens` alone, and makes an effort its own `think`: a model that
cannot think answers 400 to any but `none`.
Source: openai/openai.go of the Ollama project, `ChatCompletionRequest` and `FromChatRequest`."""

DIALECT = Dialect(
    request_headers=bearer_headers,
    target=versioned_target,
    form=in_every_case(FORM),
    apis={"responses": Wire.RESPONSES, "native": Wire.OLLAMA},
)
