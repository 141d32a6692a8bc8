"""Estimate the tokens of a prompt from its bytes. Pure.

Without the tokenizer of the model nobody can do more. The rules, each as near to the middle as the
published figures and a comparison with Anthropic's published tokenizer allow:

* ASCII, which is most of every request: Anthropic's own figure of 3.5 characters a token. JSON's
  quotes and escapes count like any other character.
* Other scripts: 2 bytes of UTF-8 a token, the middle of twelve languages (Russian 3, Thai 1.6).
* An image: what one of full size costs, whatever its file weighs.
* A PDF: text and picture of each page; its pages are guessed from the length of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.wire.body import Body

ASCII_PER_TOKEN = 3.5
OTHER_PER_TOKEN = 2.0
IMAGE_TOKENS = 1600
PDF_PAGE_TOKENS = 3000
PDF_PAGE_CHARS = 75_000
"""Of base64: a page of text with its fonts, or a picture of a page, is some 55 kB."""

_COUNTED = ("system", "messages", "tools")
_ASCII = bytes(range(128))
# A file in base64 is known by its first bytes: PDF; PNG, JPEG, GIF, WebP.
_FILE = re.compile(
    rb'"(?:data:[^",]*,)?(?:(?P<pdf>JVBERi0)|iVBORw0K|\\?/9j\\?/|R0lGOD|UklGR)'
    rb'[A-Za-z0-9+/=\\]*+"'
)


def input_tokens(body: Body) -> int:
    """Return the estimated input tokens of a request, at least 1."""
    tokens = body.size(_COUNTED) / ASCII_PER_TOKEN
    if not body.ascii:
        other = sum(len(body.raw(name).translate(None, _ASCII)) for name in _COUNTED)
        tokens += other / OTHER_PER_TOKEN - other / ASCII_PER_TOKEN
    # Its rarest character first: that is found, or not, a multiple faster than a word.
    if body.mentions(b"6") and body.mentions(b"base64"):
        tokens += sum(_files(body.raw("messages")))
    return round(tokens) or 1


def _files(messages: bytes) -> Iterator[float]:
    """Return by how much each file's tokens differ from those of its length."""
    for file in _FILE.finditer(messages):
        size = len(file[0])
        pages = -(-size // PDF_PAGE_CHARS)
        tokens = IMAGE_TOKENS if file["pdf"] is None else pages * PDF_PAGE_TOKENS
        yield tokens - size / ASCII_PER_TOKEN
