"""DeepSeek: OpenAI chat completions at paths without a version. Pure."""

from __future__ import annotations

from gateway.config.settings import ProviderSettings
from gateway.providers.dialect import Dialect, bearer_headers, in_every_case, joined
from gateway.wire.form import MAX_TOKENS, Form

FORM = Form(
    limit=MAX_TOKENS,
    efforts=("minimal", "low", "medium", "high", "xhigh", "max"),
    off="none",
    accounts=False,
    json_schema=False,
    thinking_switch=True,
    thinking_field="reasoning_content",
)
"""DeepSeek thinks unless told not to, by the switch or in the Responses API by `off`. Where it does
it wants what it thought back with every message since the user's last, an empty text where
nothing was thought, or answers 400; elsewhere the field is passed over, and so is
`max_completion_tokens` anywhere. While it thinks it refuses a forced choice of tools. Of the forms
of an answer its chat completions know `json_object` alone.
Source: DeepSeek API documentation, "Thinking Mode" (the switch and the efforts; "Tool Calls") and
"Create Chat Completion"; what an empty text does, and the refusal of a forced choice, were measured
by users of the API (deepseek-ai/DeepSeek-V3#1376)."""


def target(_: ProviderSettings, path: bytes, query: bytes, __: str) -> bytes:
    """Return path and query."""
    return joined(path.removeprefix(b"/v1"), query)


DIALECT = Dialect(
    request_headers=bearer_headers,
    target=target,
    form=in_every_case(FORM),
    needs_key=True,
    vendor="deepseek",
)
