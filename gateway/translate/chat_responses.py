"""A client speaks OpenAI chat completions, the upstream the OpenAI Responses API. Pure.

What has another form there:
* Every message is an item; what the model said and each of its calls are items of their own.
* `store` is always false: the conversation belongs to the client.
* An output limit below `MIN_OUTPUT_TOKENS` is raised to it: the API takes none below.
* A tool that does not ask for `strict` says so: the API's own default is strict.
* Thinking is shown as `reasoning_content`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway.translate import responses_request
from gateway.translate.chat_request import (
    NO_PARAMETERS,
    NO_PENALTIES,
    NO_STOPS,
    AssistantMessage,
    ChatRequest,
    Checks,
    DeveloperMessage,
    FilePart,
    ImagePart,
    JsonForm,
    NamedChoice,
    RefusalPart,
    SchemaForm,
    SystemMessage,
    TextPart,
    Tool,
    ToolMessage,
    UserMessage,
    read,
)
from gateway.translate.fields import present
from gateway.translate.responses_request import UPSTREAM, Item, output_text
from gateway.wire.decoding import given

NOT_NEEDED: Mapping[str, str] = {
    "cache_control": "steers Anthropic's cache; OpenAI caches prompts by itself",
    "reasoning": "thinking of earlier turns; OpenAI takes none back in clear text",
    "reasoning_content": "thinking of earlier turns; OpenAI takes none back in clear text",
    "seed": "best effort by its own documentation; the Responses API has no such effort",
}
"""Fields that are left out on the way there, beside those that every upstream goes without."""

_CHECKS: Checks = {**NO_STOPS, **NO_PENALTIES}
_ROLES = {SystemMessage: "system", DeveloperMessage: "developer", UserMessage: "user"}


def translate_request(body: bytes, model: str) -> bytes:
    """Return the upstream's request; raises RequestError (400)."""
    request = read(body, UPSTREAM, _CHECKS)
    fields = _sampling(request) | _tools(request) | _work(request)
    return responses_request.encode(model, _items(request), fields, stream=bool(request.stream))


def _items(request: ChatRequest) -> Iterator[Item]:
    for message in request.messages:
        if isinstance(message, ToolMessage):
            yield responses_request.result(message.tool_call_id, _content(message.content))
        elif isinstance(message, AssistantMessage):
            yield from _said(message)
        else:
            yield responses_request.message(_ROLES[type(message)], _content(message.content))


def _said(message: AssistantMessage) -> Iterator[Item]:
    content = message.content or ()
    parts = [_output(TextPart(content))] if isinstance(content, str) else [*map(_output, content)]
    if message.refusal:
        parts.append(_output(RefusalPart(message.refusal)))
    if parts:
        yield responses_request.message("assistant", parts)
    for call in message.tool_calls or ():
        function = call.function
        yield responses_request.call(call.id, function.name, function.arguments or "{}")


def _output(part: TextPart | RefusalPart) -> Item:
    if isinstance(part, TextPart):
        return output_text(part.text)
    return {"type": "refusal", "refusal": part.refusal}


def _content(content: str | Sequence[TextPart | ImagePart | FilePart]) -> str | list[Item]:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: TextPart | ImagePart | FilePart) -> Item:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, ImagePart):
        image = part.image_url
        return present(type="input_image", image_url=image.url, detail=image.detail)
    file = part.file
    return present(
        type="input_file", file_id=file.file_id, filename=file.filename, file_data=file.file_data
    )


def _sampling(request: ChatRequest) -> dict[str, object]:
    limit = request.limit
    return present(
        max_output_tokens=None if limit is None else responses_request.limit(limit),
        temperature=request.temperature,
        top_p=request.top_p,
        user=request.user,
        safety_identifier=request.safety_identifier,
        service_tier=request.service_tier,
        prompt_cache_key=request.prompt_cache_key,
        prompt_cache_retention=request.prompt_cache_retention,
    )


def _tools(request: ChatRequest) -> dict[str, object]:
    if not request.tools:
        return {}
    choice: object = request.tool_choice
    if isinstance(request.tool_choice, NamedChoice):
        choice = responses_request.named_choice(request.tool_choice.function.name)
    return present(
        tools=[_tool(tool) for tool in request.tools],
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls,
    )


def _tool(tool: Tool) -> Item:
    function = tool.function
    parameters = given(function.parameters) or NO_PARAMETERS
    return responses_request.tool(
        function.name, function.description, parameters, strict=function.strict
    )


def _work(request: ChatRequest) -> dict[str, object]:
    """Return how hard to think and in which form to answer."""
    effort = request.reasoning_effort
    text = present(format=_form(request), verbosity=request.verbosity)
    return present(reasoning=None if effort is None else {"effort": effort}, text=text or None)


def _form(request: ChatRequest) -> Item | None:
    form = request.response_format
    if isinstance(form, JsonForm):
        return {"type": "json_object"}
    if not isinstance(form, SchemaForm):
        return None
    schema = form.json_schema
    return present(
        type="json_schema",
        name=schema.name,
        description=schema.description,
        schema=schema.schema,
        strict=schema.strict,
    )
