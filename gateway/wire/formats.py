"""The wire formats clients and providers speak, and what turns one into another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from gateway.wire.form import OPENAI, Form
from gateway.wire.usage import Reading


class Wire(StrEnum):
    """One vendor's form of requests and answers."""

    MESSAGES = "messages"  # Anthropic Messages
    CHAT = "chat"  # OpenAI chat completions
    RESPONSES = "responses"  # OpenAI Responses
    OLLAMA = "ollama"  # Ollama's own chat API


STREAM_TYPES: Mapping[Wire, bytes] = {
    Wire.MESSAGES: b"text/event-stream",
    Wire.CHAT: b"text/event-stream",
    Wire.RESPONSES: b"text/event-stream",
    Wire.OLLAMA: b"application/x-ndjson",
}
"""The media type of a streamed answer."""


class StreamTranslator(Protocol):
    """Translates one streamed answer; feed it the upstream's pieces in order."""

    @property
    def complete(self) -> bool:
        """Whether the upstream said that its answer is finished."""

    def feed(self, data: bytes) -> bytes:
        """Return the events that can be sent now; empty when `data` completed none.

        Never raises: what cannot be read becomes an error event, after which nothing follows.
        """

    def end(self) -> bytes:
        """Return what is left when the upstream has ended.

        The closing events when its own end was seen; an error event when it was not; empty when
        either has been sent already.
        """

    def reading(self) -> Reading:
        """Return the tokens and the model as the upstream told them so far."""


class Translator(Protocol):
    """Translates requests of a client's format, and the answers to them.

    A request is translated whole or refused; only what `NOT_NEEDED` lists is left out of it. What
    an answer says beyond the client's format is left out. Signatures of thinking blocks belong to
    the model that made them: they do not cross. Thinking is shown to the client, and sent back only
    to an upstream that takes it unsigned.
    """

    @property
    def path(self) -> bytes:
        """The upstream's path, e.g. `/v1/chat/completions`."""

    def request(self, body: bytes, model: str, form: Form = OPENAI) -> bytes:
        """Return the upstream's request for `model`, as the provider takes it.

        Raises RequestError (400) naming the field that cannot be expressed.
        """

    def answer(self, body: bytes) -> bytes:
        """Return the client's form of a complete JSON answer.

        Raises UpstreamError when the body is no such answer.
        """

    def error(self, status: int, body: bytes) -> bytes:
        """Return the client's form of an error body; the upstream's message is kept word for word.

        Any body is taken: JSON of any vendor, plain text, none.
        """

    def reading(self, body: bytes) -> Reading:
        """Return the tokens and the model a complete JSON answer of the upstream tells."""

    def stream(self, *, trailing_usage: bool = True) -> StreamTranslator:
        """Return a translator of one streamed answer.

        Args:
            trailing_usage: Whether a chat completions client asked for the chunk that carries the
                usage (`stream_options.include_usage`); without meaning for other clients.
        """
