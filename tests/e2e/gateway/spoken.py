"""What clients ask in the tests, and what a provider of the Messages API says; pure."""

from __future__ import annotations

import json

from tests.e2e.gateway.scripted import Answer, Json, sse

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
CURRENT = "claude-sonnet-5-5"  # an SDK warns of models whose end is near

BODY = b'{ "stream" : false,\n "model":"%s" , "x":[1.0e0, "\\u00e9\xc3\xa9"],"max_tokens":5 }'
"""A request whose bytes no serializer would write again; its model is to be filled in."""
PLAIN = BODY % SONNET.encode()

MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"%s","content":[{"type":"text",'
    b'"text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,\n "usage":{"input_tokens":1000,'
    b'"output_tokens":500}}'
)
"""A whole answer; its model is to be filled in."""


def asking(model: str = SONNET, **fields: Json) -> Json:
    """Return a small request for a message or a chat completion."""
    spoken = [{"role": "user", "content": "x"}]
    return {"model": model, "max_tokens": 9, "messages": spoken} | fields


def message(text: str = "hi", *content: Json) -> bytes:
    """Return a whole answer of 10 tokens in and 5 out."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    answer = {"id": "m", "type": "message", "role": "assistant", "model": SONNET, "usage": usage}
    blocks = [{"type": "text", "text": text}, *content]
    return json.dumps(answer | {"content": blocks, "stop_reason": "end_turn"}).encode()


SAID = Answer(body=message())
CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 3}


# -- a stream of 1000 tokens in, 10 of them from the cache, and 500 out


def start_event(model: str = SONNET) -> bytes:
    usage = {"input_tokens": 1000, "output_tokens": 1, "cache_read_input_tokens": 10}
    begun: dict[str, Json] = {"id": "msg_1", "type": "message", "role": "assistant"}
    begun |= {"model": model, "usage": usage, "stop_reason": None, "stop_sequence": None}
    return sse({"type": "message_start", "message": begun | {"content": []}})


def delta_event(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return sse({"type": "content_block_delta", "index": 0, "delta": delta})


_BLOCK = {"type": "text", "text": "", "citations": None}
BLOCK_START = sse({"type": "content_block_start", "index": 0, "content_block": _BLOCK})
ENDING = sse(
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 500},
    },
    {"type": "message_stop"},
)
