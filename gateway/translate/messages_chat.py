"""A client speaks Anthropic Messages, the upstream OpenAI chat completions. Pure.

What has another form there:
* A tool result is text only. Its images and documents follow in a user message behind the tool
  messages, under a line that names the result; `is_error` becomes the word `Error:` in front.
* System instructions keep their place; those in front of the conversation become one message.
* Thinking arrives as `reasoning_content` and is shown as a thinking block, marked as unsigned; it
  goes back where the provider wants it, see `Form.thinking_field`.
* `content_filter` and a refusal are the stop reason `refusal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway.translate import message_parts, messages_openai
from gateway.translate.fields import present
from gateway.translate.message_parts import Part, PartForms
from gateway.translate.messages_request import (
    ERROR_PREFIX,
    AnyTool,
    AssistantMessage,
    Document,
    Image,
    MessagesRequest,
    Named,
    SystemMessage,
    Text,
    Thinking,
    ThinkingOn,
    Tool,
    ToolReference,
    ToolResult,
    ToolUse,
    UserMessage,
    read,
)
from gateway.translate.strict import inexpressible
from gateway.wire.form import OPENAI, Form

NOT_NEEDED: Mapping[str, str] = {
    "content.thinking": "thinking of earlier turns; OpenAI takes none back in clear text, and who "
    "wants it gets it",
    "display": "whether thinking is shown shortened; chat completions show what there is",
}
"""Fields that are left out on the way there, beside those that every upstream goes without."""

UPSTREAM = "OpenAI chat completions"
MAX_STOPS = 4
"""OpenAI takes so many stop sequences."""


_FORMS = PartForms(
    UPSTREAM,
    text=lambda text: {"type": "text", "text": text},
    image=lambda url: {"type": "image_url", "image_url": {"url": url}},
    file=lambda name, data: {"type": "file", "file": {"filename": name, "file_data": data}},
)


def translate_request(body: bytes, model: str, form: Form = OPENAI) -> bytes:
    """Return the upstream's request; raises RequestError (400)."""
    request = read(body, UPSTREAM)
    document: dict[str, object] = {"model": model, "messages": list(_messages(request, form))}
    document[form.limit] = request.max_tokens
    document |= _sampling(request, form) | _tools(request) | _answer(request, form)
    if request.stream:
        document["stream"] = True
        if form.stream_options:
            document["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(document)


def _messages(request: MessagesRequest, form: Form) -> Iterator[Part]:
    if request.system_text:
        yield {"role": "system", "content": request.system_text}
    for index, message in enumerate(request.messages):
        field = f"messages.{index}.content"
        if isinstance(message, AssistantMessage):
            yield _assistant(message, form.thinking_field)
        elif isinstance(message, SystemMessage):
            yield {
                "role": "system",
                "content": message_parts.content(message.content, field, _FORMS),
            }
        else:
            yield from _user(message, field)


def _assistant(message: AssistantMessage, thinking_field: str | None) -> Part:
    """Return a message of the model; with a field for its thinking every one has it, and a text."""
    blocks = [Text(message.content)] if isinstance(message.content, str) else message.content
    text = message_parts.joined(block for block in blocks if isinstance(block, Text))
    calls = [_call(block) for block in blocks if isinstance(block, ToolUse)]
    said: dict[str, object] = {"role": "assistant", "content": text}
    if thinking_field is not None:
        thoughts = (block.thinking for block in blocks if isinstance(block, Thinking))
        said[thinking_field] = message_parts.SEPARATOR.join(filter(None, thoughts))
    elif calls:
        said["content"] = text or None
    return said | ({"tool_calls": calls} if calls else {})


def _call(call: ToolUse) -> Part:
    function = {"name": call.name, "arguments": bytes(call.input).decode()}
    return {"id": call.id, "type": "function", "function": function}


def _user(message: UserMessage, field: str) -> Iterator[Part]:
    """Yield the results of tools first: they have to follow the call at once."""
    if isinstance(message.content, str):
        yield {"role": "user", "content": message.content}
        return
    results = [block for block in message.content if isinstance(block, ToolResult)]
    attached: list[Part] = []
    for result in results:
        text, more = _result(result, field)
        attached += more
        yield {"role": "tool", "tool_call_id": result.tool_use_id, "content": text}
    others = [block for block in message.content if not isinstance(block, ToolResult)]
    if attached:
        yield {"role": "user", "content": attached + message_parts.parts(others, field, _FORMS)}
    elif others or not results:
        yield {"role": "user", "content": message_parts.content(others, field, _FORMS)}


def _result(result: ToolResult, field: str) -> tuple[str, list[Part]]:
    """Return the text of a tool message, and the parts that have to follow it elsewhere."""
    blocks = result.content or []
    prefix = ERROR_PREFIX if result.is_error else ""
    if isinstance(blocks, str):
        return prefix + blocks, []
    text = message_parts.joined(one for one in blocks if isinstance(one, Text | ToolReference))
    media = [block for block in blocks if isinstance(block, Image | Document)]
    if not media:
        return prefix + text, []
    note = f"[attachments of this result follow: {len(media)}]"
    text = f"{text}{message_parts.SEPARATOR}{note}" if text else note
    label = _FORMS.text(f"Attachments of tool result {result.tool_use_id}:")
    return prefix + text, [label, *message_parts.parts(media, field, _FORMS)]


def _sampling(request: MessagesRequest, form: Form) -> dict[str, object]:
    if request.top_k is not None:
        raise inexpressible("top_k", UPSTREAM)
    if len(request.stop_sequences or ()) > MAX_STOPS:
        raise inexpressible("stop_sequences", UPSTREAM, f"more than {MAX_STOPS}")
    return present(
        temperature=request.temperature,
        top_p=request.top_p,
        stop=request.stop_sequences or None,
        **_work(request, form),
        **_accounts(request, form),
    )


def _accounts(request: MessagesRequest, form: Form) -> dict[str, object]:
    if not form.accounts:
        return {}
    return {"user": messages_openai.user(request), "service_tier": messages_openai.tier(request)}


def _work(request: MessagesRequest, form: Form) -> dict[str, object]:
    """Return whether and how hard to think; what is switched off needs no effort.

    Who forces a tool does not ask for thinking: Anthropic refuses the two together, too.
    """
    effort = messages_openai.effort(request, form)
    off = request.thinks_not or isinstance(request.tool_choice, AnyTool | Named)
    if form.thinking_switch and off:
        return {"thinking": {"type": "disabled"}}
    if form.thinking_switch and isinstance(request.thinking, ThinkingOn):
        return {"reasoning_effort": effort, "thinking": {"type": "enabled"}}
    return {"reasoning_effort": effort}


def _tools(request: MessagesRequest) -> dict[str, object]:
    if not request.tools:
        return {}
    tools = [{"type": "function", "function": _function(tool)} for tool in request.tools]
    return {"tools": tools} | messages_openai.tool_choice(
        request, lambda name: {"type": "function", "function": {"name": name}}
    )


def _function(tool: Tool) -> Part:
    return present(
        name=tool.name,
        description=tool.full_description(),
        parameters=tool.input_schema,
        strict=tool.strict and messages_openai.may_be_strict(tool.input_schema),
    )


def _answer(request: MessagesRequest, form: Form) -> dict[str, object]:
    """Return the form an answer must have."""
    schema = messages_openai.schema(request)
    if schema is None:
        return {}
    if not form.json_schema:
        raise inexpressible("output_config.format", UPSTREAM, "this provider takes no schema")
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
