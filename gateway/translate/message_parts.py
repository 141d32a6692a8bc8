"""Content blocks of an Anthropic request as content parts of OpenAI's two formats. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.translate.messages_request import (
    Base64,
    Document,
    Image,
    PlainText,
    Text,
    ToolReference,
    check_document,
)
from gateway.translate.strict import inexpressible

Part: TypeAlias = Mapping[str, object]
Block: TypeAlias = Text | Image | Document | ToolReference

SEPARATOR = "\n\n"
"""Between texts that become one string: parts of a text are paragraphs to the model."""

FILE_NAME = "document.pdf"
"""OpenAI wants a name for every file."""


@dataclass(frozen=True, slots=True)
class PartForms:
    """How one of OpenAI's formats writes a part.

    Attributes:
        upstream: Its name, for messages.
        text: From a text.
        image: From an address or data URL.
        file: From name and data URL.
        file_url: From an address; None when the format has no such part.
    """

    upstream: str
    text: Callable[[str], Part]
    image: Callable[[str], Part]
    file: Callable[[str, str], Part]
    file_url: Callable[[str], Part] | None = None


def content(blocks: str | Iterable[Block], field: str, forms: PartForms) -> str | list[Part]:
    """Return the content of a message: one string when it is text alone, else parts.

    Many servers take a string only, so a list is sent only where it is needed.
    """
    if isinstance(blocks, str):
        return blocks
    blocks = list(blocks)
    if all(isinstance(block, Text | ToolReference) for block in blocks):
        return joined(blocks)
    return parts(blocks, field, forms)


def parts(blocks: Sequence[Block], field: str, forms: PartForms) -> list[Part]:
    """Return one part a block; `field` names the blocks in a refusal."""
    return [_part(block, field, forms) for block in blocks]


def joined(blocks: Iterable[Block]) -> str:
    """Return the texts of the blocks as one string."""
    return SEPARATOR.join(
        text_of(block) for block in blocks if isinstance(block, Text | ToolReference)
    )


def plain(content: str | Iterable[Text]) -> str:
    """Return content that can only be text as one string."""
    return content if isinstance(content, str) else joined(content)


def text_of(block: Text | ToolReference) -> str:
    """Return the words of a block; of a tool that was found the request has told already."""
    return block.text if isinstance(block, Text) else f"Tool found: {block.tool_name}"


def titled(title: str | None, text: str) -> str:
    """Return the text of a document under its title."""
    return SEPARATOR.join(part for part in (title, text) if part)


def _part(block: Block, field: str, forms: PartForms) -> Part:
    if isinstance(block, Text | ToolReference):
        return forms.text(text_of(block))
    if isinstance(block, Image):
        return forms.image(block.source.url)
    check_document(block, field, forms.upstream)
    if isinstance(block.source, PlainText):
        return forms.text(titled(block.title, block.source.data))
    if isinstance(block.source, Base64):
        return forms.file(block.title or FILE_NAME, block.source.url)
    if forms.file_url is None:
        raise inexpressible(f"{field}.source.url", forms.upstream, "a document's address")
    return forms.file_url(block.source.url)
