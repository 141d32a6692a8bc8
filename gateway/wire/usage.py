"""Token usage of one answer, and on what terms it was made. Pure."""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=10**10)]
"""Tokens, less than which no model can take: nonsense must not reach the ledger's integers."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """On what terms an answer was made, as far as they change its price; None is the usual.

    Attributes:
        tier: Service tier, e.g. "batch".
        speed: E.g. "fast".
        geo: Where the model had to run, e.g. "us".
        other: Anything else, e.g. "fallback_message".
    """

    tier: str | None = None
    speed: str | None = None
    geo: str | None = None
    other: str | None = None


STANDARD = Terms()


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer. Input excludes what was written to or read from the prompt cache.

    Attributes:
        web_searches: Searches the provider made, which it charges one by one.
        steps: What is billed when an answer took several steps, each with the model that took it
            (None: the one that answered); some are not part of the tokens above. Empty: one step.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    web_searches: int = 0
    terms: Terms = STANDARD
    steps: tuple[tuple[str | None, Usage], ...] = ()

    @property
    def cache_write_tokens(self) -> int:
        """What was written to the prompt cache, for five minutes or an hour."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    def prompt_tokens(self) -> int:
        """Return the whole prompt, cached or not."""
        written = self.cache_write_5m_tokens + self.cache_write_1h_tokens
        return self.input_tokens + written + self.cache_read_tokens

    def unusual(self) -> tuple[str, ...]:
        """Return what, beside the tokens, decides its price, in words; empty for most answers."""
        terms = self.terms
        if terms is STANDARD and not self.web_searches and not self.steps:
            return ()
        words = [word for word in (terms.tier, terms.speed, terms.geo, terms.other) if word]
        words += ["web_search"] if self.web_searches else []
        return (*words, "steps") if self.steps else tuple(words)


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What an answer said about itself.

    Attributes:
        usage: None when the answer held none.
        model: The model that answered; None when not said.
    """

    usage: Usage | None = None
    model: str | None = None
