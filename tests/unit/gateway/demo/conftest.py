"""Requests to the demo upstream, and its answers to them; pure."""

from __future__ import annotations

import json
from typing import Protocol

import pytest

from gateway.demo.answer import Answer, answer
from gateway.demo.request import parse
from gateway.demo.usage import PromptCache


class Body(Protocol):
    """Return a request with these members beside the usual ones; None leaves one out."""

    def __call__(self, **fields: object) -> bytes: ...


class Ask(Protocol):
    """Answer such a request."""

    def __call__(self, **fields: object) -> Answer: ...


class Said(Protocol):
    """Answer what a user said."""

    def __call__(self, text: str, **fields: object) -> Answer: ...


@pytest.fixture(scope="session")
def body() -> Body:
    def make(**fields: object) -> bytes:
        whole: dict[str, object] = {
            "model": "claude-sonnet-4-5-20250929",
            "max_tokens": 500,
            "messages": [{"role": "user", "content": "Good morning"}],
        }
        whole |= fields
        return json.dumps(
            {key: value for key, value in whole.items() if value is not None}
        ).encode()

    return make


@pytest.fixture(scope="session")
def ask(body: Body) -> Ask:
    def make(**fields: object) -> Answer:
        prompt = parse(body(**fields))
        return answer(prompt, PromptCache().bill(prompt.model, prompt.blocks, 0), "msg_1")

    return make


@pytest.fixture(scope="session")
def said(ask: Ask) -> Said:
    def make(text: str, **fields: object) -> Answer:
        return ask(messages=[{"role": "user", "content": text}], **fields)

    return make
