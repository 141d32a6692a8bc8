"""What is fuzzed, by name: each target takes any bytes and raises only when a law is broken.

A target is a plain function, so that the tests replay the corpus through it without a fuzzer.
"""

from __future__ import annotations

from collections.abc import Mapping

from fuzz.targets.case import Target
from fuzz.targets.client_body import body, edits
from fuzz.targets.encoded import decoded
from fuzz.targets.events import agents, meters, reader, usage
from fuzz.targets.http_answer import answer
from fuzz.targets.http_proxy import proxy
from fuzz.targets.http_request import request
from fuzz.targets.translation import translation

__all__ = ["TARGETS", "Target"]

TARGETS: Mapping[str, Target] = {
    "http.request": request,
    "http.answer": answer,
    "http.proxy": proxy,
    "events.reader": reader,
    "events.meters": meters,
    "events.agents": agents,
    "answer.decoded": decoded,
    "answer.usage": usage,
    "request.body": body,
    "request.edits": edits,
    **translation(),
}
"""Targets by name."""
