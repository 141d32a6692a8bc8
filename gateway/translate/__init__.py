"""Translation between the wire formats of clients and upstreams, one row a pair. Pure.

A new pair is a new module, named client_upstream, and a new row.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

from gateway.translate.chat_messages import ChatMessages
from gateway.translate.messages_chat import MessagesChat
from gateway.translate.messages_responses import MessagesResponses
from gateway.translate.mint import Mint
from gateway.wire.formats import StreamTranslator, Translator, Wire

__all__ = ["TRANSLATORS", "Mint", "StreamTranslator", "Translator", "Wire"]

_MINT = Mint(lambda: secrets.token_hex(12), time.time)

TRANSLATORS: Mapping[tuple[Wire, Wire], Translator] = {
    (Wire.MESSAGES, Wire.CHAT): MessagesChat(_MINT),
    (Wire.CHAT, Wire.MESSAGES): ChatMessages(_MINT),
    (Wire.MESSAGES, Wire.RESPONSES): MessagesResponses(_MINT),
}
"""By the client's format and the upstream's."""
