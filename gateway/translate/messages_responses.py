"""A client speaks Anthropic Messages, the upstream the OpenAI Responses API. Pure.

What has another form there:
* Instructions in front become `instructions`; those between turns are `developer` messages.
* Tool results carry text, images and documents alike; `is_error` becomes `Error:` in front.
* `store` is always false: the conversation belongs to the client.
* An output limit below `MIN_OUTPUT_TOKENS` is raised to it: the API takes none below.
* A tool that does not ask for `strict` says so: the API's own default is strict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.translate import message_parts, messages_openai, responses_request
from gateway.translate.fields import present
from gateway.translate.message_parts import PartForms
from gateway.translate.messages_request import (
    ERROR_PREFIX,
    AssistantMessage,
    MessagesRequest,
    SystemMessage,
    Text,
    ThinkingAdaptive,
    ThinkingOn,
    Tool,
    ToolResult,
    ToolUse,
    UserMessage,
    read,
)
from gateway.translate.responses_request import UPSTREAM, Item, output_text
from gateway.translate.strict import inexpressible
from gateway.wire.form import OPENAI, Form

NOT_NEEDED: Mapping[str, str] = {
    "content.thinking": "thinking of earlier turns; OpenAI takes none back in clear text",
}
"""Fields that are left out on the way there, beside those that every upstream goes without."""

_FORMS = PartForms(
    UPSTREAM,
    text=lambda text: {"type": "input_text", "text": text},
    image=lambda url: {"type": "input_image", "image_url": url},
    file=lambda name, data: {"type": "input_file", "filename": name, "file_data": data},
    file_url=lambda url: {"type": "input_file", "file_url": url},
)


def translate_request(body: bytes, model: str, form: Form = OPENAI) -> bytes:
    """Return the upstream's request; raises RequestError (400)."""
    request = read(body, UPSTREAM)
    if request.stop_sequences:
        raise inexpressible("stop_sequences", UPSTREAM)
    if request.top_k is not None:
        raise inexpressible("top_k", UPSTREAM)
    fields = present(instructions=request.system_text or None)
    fields |= _sampling(request) | _tools(request) | _work(request, form)
    return responses_request.encode(model, _items(request), fields, stream=bool(request.stream))


def _items(request: MessagesRequest) -> Iterator[Item]:
    for index, message in enumerate(request.messages):
        field = f"messages.{index}.content"
        if isinstance(message, AssistantMessage):
            yield from _said(message)
        elif isinstance(message, SystemMessage):
            content = message_parts.content(message.content, field, _FORMS)
            yield responses_request.message("developer", content)
        else:
            yield from _asked(message, field)


def _said(message: AssistantMessage) -> Iterator[Item]:
    """Yield texts and calls in their order."""
    if isinstance(message.content, str):
        yield _output(message.content)
        return
    for block in message.content:
        if isinstance(block, Text):
            yield _output(block.text)
        elif isinstance(block, ToolUse):
            yield responses_request.call(block.id, block.name, bytes(block.input).decode())


def _output(text: str) -> Item:
    return responses_request.message("assistant", [output_text(text)])


def _asked(message: UserMessage, field: str) -> Iterator[Item]:
    if isinstance(message.content, str):
        yield responses_request.message("user", message.content)
        return
    results = [block for block in message.content if isinstance(block, ToolResult)]
    for result in results:
        yield responses_request.result(result.tool_use_id, _result(result, field))
    others = [block for block in message.content if not isinstance(block, ToolResult)]
    if others or not results:
        yield responses_request.message("user", message_parts.content(others, field, _FORMS))


def _result(result: ToolResult, field: str) -> str | list[Item]:
    output = message_parts.content(result.content or "", field, _FORMS)
    if not result.is_error:
        return output
    if isinstance(output, str):
        return ERROR_PREFIX + output
    return [_FORMS.text(ERROR_PREFIX.rstrip()), *output]


def _sampling(request: MessagesRequest) -> dict[str, object]:
    return present(
        max_output_tokens=responses_request.limit(request.max_tokens),
        temperature=request.temperature,
        top_p=request.top_p,
        user=messages_openai.user(request),
        service_tier=messages_openai.tier(request),
    )


def _tools(request: MessagesRequest) -> dict[str, object]:
    if not request.tools:
        return {}
    tools = [_tool(tool) for tool in request.tools]
    return {"tools": tools} | messages_openai.tool_choice(request, responses_request.named_choice)


def _tool(tool: Tool) -> Item:
    description = tool.full_description()
    strict = tool.strict and messages_openai.may_be_strict(tool.input_schema)
    return responses_request.tool(tool.name, description, tool.input_schema, strict=strict)


def _work(request: MessagesRequest, form: Form) -> dict[str, object]:
    """Return how hard to think and in which form to answer."""
    thinking = request.thinking
    shown = isinstance(thinking, ThinkingOn | ThinkingAdaptive) and thinking.display == "summarized"
    # Only when asked for: organisations that are not verified get an error for it.
    summary = "auto" if shown else None
    schema = messages_openai.schema(request)
    return present(
        reasoning=present(effort=messages_openai.effort(request, form), summary=summary) or None,
        text=None if schema is None else {"format": {"type": "json_schema"} | schema},
    )
