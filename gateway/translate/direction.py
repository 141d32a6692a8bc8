"""One direction of translation: its requests, and the two formats its answers join. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import UpstreamError
from gateway.translate import error_bodies
from gateway.translate.answer import Answer, AnswerWriter
from gateway.translate.error_bodies import Fault
from gateway.translate.mint import Mint
from gateway.translate.stream import AnswerReader, Framing, Stream
from gateway.wire.form import OPENAI, Form
from gateway.wire.formats import StreamTranslator
from gateway.wire.usage import Reading


@dataclass(frozen=True, slots=True)
class Upstream:
    """How answers in an upstream's format are read.

    Attributes:
        path: Where it is asked, e.g. `/v1/chat/completions`.
        answer: From a whole answer's body; raises UpstreamError when it is none.
        reading: From such a body to its tokens and model; UpstreamError or nothing when it is none.
        framing: Makes what cuts one stream into events.
        stream: Makes what reads one stream, and writes it to an `AnswerWriter`.
    """

    path: bytes
    answer: Callable[[bytes], Answer]
    reading: Callable[[bytes], Reading]
    framing: Callable[[], Framing]
    stream: Callable[[AnswerWriter], AnswerReader]


@dataclass(frozen=True, slots=True)
class Client:
    """How answers in a client's format are written.

    Attributes:
        answer: From a whole answer to its body.
        error: From an error to its body.
        stream: Makes what writes one stream; the flag is `trailing_usage` of `Translator.stream`.
    """

    answer: Callable[[Answer, Mint], bytes]
    error: Callable[[Fault], bytes]
    stream: Callable[[Mint, bool], AnswerWriter]


@dataclass(frozen=True, slots=True)
class Direction:
    """A Translator made of a function for requests and the two sides of an answer.

    Attributes:
        translate_request: From the client's body, the model to ask for and what its provider takes
            to the upstream's body; raises RequestError (400).
        mint: Source of the ids of answers and calls, and of the time.
    """

    translate_request: Callable[[bytes, str, Form], bytes]
    upstream: Upstream
    client: Client
    mint: Mint

    @property
    def path(self) -> bytes:
        """The upstream's path."""
        return self.upstream.path

    def request(self, body: bytes, model: str, form: Form = OPENAI) -> bytes:
        """Return the upstream's request; raises RequestError (400)."""
        return self.translate_request(body, model, form)

    def answer(self, body: bytes) -> bytes:
        """Return the client's form of an answer; raises UpstreamError."""
        return self.client.answer(self.upstream.answer(body), self.mint)

    def error(self, status: int, body: bytes) -> bytes:
        """Return the client's form of an error."""
        return self.client.error(error_bodies.read(status, body))

    def reading(self, body: bytes) -> Reading:
        """Return tokens and model of an upstream's answer; empty when it is none."""
        try:
            return self.upstream.reading(body)
        except UpstreamError:
            return Reading()

    def stream(self, *, trailing_usage: bool = True) -> StreamTranslator:
        """Return a translator of one streamed answer."""
        writer = self.client.stream(self.mint, trailing_usage)
        return Stream(self.upstream.framing(), self.upstream.stream(writer), writer)
