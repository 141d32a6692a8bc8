"""Translation between the wire formats of clients and upstreams, one row a pair. Pure.

A new pair is a new row and a new module, named client_upstream, which translates requests. How
answers are read depends on the upstream alone, how they are written on the client: one row each.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping

from gateway.translate import (
    chat_answer,
    chat_completion,
    chat_messages,
    chat_ollama,
    chat_responses,
    error_bodies,
    message_answer,
    message_reading,
    messages_chat,
    messages_ollama,
    messages_responses,
    ollama_answer,
    response_answer,
)
from gateway.translate.chat_chunks import ChatChunks
from gateway.translate.chat_stream import ChatStream
from gateway.translate.direction import Client, Direction, Upstream
from gateway.translate.message_events import MessageEvents
from gateway.translate.message_stream import MessageStream
from gateway.translate.mint import Mint
from gateway.translate.ndjson import LineReader
from gateway.translate.ollama_stream import OllamaStream
from gateway.translate.response_stream import ResponseStream
from gateway.translate.sse import EventReader
from gateway.wire.form import Form
from gateway.wire.formats import StreamTranslator, Translator, Wire
from gateway.wire.message_usage import read_message

__all__ = ["TRANSLATORS", "Mint", "StreamTranslator", "Translator", "Wire", "translators"]

_UPSTREAMS: Mapping[Wire, Upstream] = {
    Wire.MESSAGES: Upstream(
        path=b"/v1/messages",
        answer=message_reading.answer,
        reading=read_message,
        framing=EventReader,
        stream=MessageStream,
    ),
    Wire.CHAT: Upstream(
        path=b"/v1/chat/completions",
        answer=chat_answer.answer,
        reading=chat_answer.reading,
        framing=EventReader,
        stream=ChatStream,
    ),
    Wire.RESPONSES: Upstream(
        path=b"/v1/responses",
        answer=response_answer.answer,
        reading=response_answer.reading,
        framing=EventReader,
        stream=ResponseStream,
    ),
    Wire.OLLAMA: Upstream(
        path=b"/api/chat",
        answer=ollama_answer.answer,
        reading=ollama_answer.reading,
        framing=LineReader,
        stream=OllamaStream,
    ),
}
_CLIENTS: Mapping[Wire, Client] = {
    Wire.MESSAGES: Client(
        answer=message_answer.encode,
        error=error_bodies.to_messages,
        stream=lambda mint, _: MessageEvents(mint),
    ),
    Wire.CHAT: Client(
        answer=chat_completion.encode,
        error=error_bodies.to_chat,
        stream=lambda mint, usage: ChatChunks(mint, trailing_usage=usage),
    ),
}


def _for_all(translate: Callable[[bytes, str], bytes]) -> Callable[[bytes, str, Form], bytes]:
    """Return a translation that every provider takes as it is."""
    return lambda body, model, _: translate(body, model)


_REQUESTS: Mapping[tuple[Wire, Wire], Callable[[bytes, str, Form], bytes]] = {
    (Wire.MESSAGES, Wire.CHAT): messages_chat.translate_request,
    (Wire.MESSAGES, Wire.RESPONSES): messages_responses.translate_request,
    (Wire.MESSAGES, Wire.OLLAMA): messages_ollama.translate_request,
    (Wire.CHAT, Wire.MESSAGES): _for_all(chat_messages.translate_request),
    (Wire.CHAT, Wire.RESPONSES): _for_all(chat_responses.translate_request),
    (Wire.CHAT, Wire.OLLAMA): chat_ollama.translate_request,
}


def translators(mint: Mint) -> Mapping[tuple[Wire, Wire], Translator]:
    """Return every direction, by the client's format and the upstream's."""
    return {
        (client, upstream): Direction(request, _UPSTREAMS[upstream], _CLIENTS[client], mint)
        for (client, upstream), request in _REQUESTS.items()
    }


TRANSLATORS = translators(Mint(lambda: secrets.token_hex(12), time.time))
"""By the client's format and the upstream's."""
