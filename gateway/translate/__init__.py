"""Translation between the wire formats of clients and upstreams, one row a pair. Pure.

A new pair is a new row and a new module, named client_upstream: it translates requests, and joins
the reader of the upstream's answers to the writer of the client's, see `answer`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

from gateway.translate.chat_messages import ChatMessages
from gateway.translate.chat_ollama import ChatOllama
from gateway.translate.chat_responses import ChatResponses
from gateway.translate.messages_chat import MessagesChat
from gateway.translate.messages_ollama import MessagesOllama
from gateway.translate.messages_responses import MessagesResponses
from gateway.translate.mint import Mint
from gateway.wire.formats import StreamTranslator, Translator, Wire

__all__ = ["TRANSLATORS", "Mint", "StreamTranslator", "Translator", "Wire"]

_MINT = Mint(lambda: secrets.token_hex(12), time.time)

TRANSLATORS: Mapping[tuple[Wire, Wire], Translator] = {
    (Wire.MESSAGES, Wire.CHAT): MessagesChat(_MINT),
    (Wire.MESSAGES, Wire.RESPONSES): MessagesResponses(_MINT),
    (Wire.MESSAGES, Wire.OLLAMA): MessagesOllama(_MINT),
    (Wire.CHAT, Wire.MESSAGES): ChatMessages(_MINT),
    (Wire.CHAT, Wire.RESPONSES): ChatResponses(_MINT),
    (Wire.CHAT, Wire.OLLAMA): ChatOllama(_MINT),
}
"""By the client's format and the upstream's."""
