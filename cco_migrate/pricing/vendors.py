"""Whose models the price table holds, which of them, and under which ids. Pure.

What is left out here has no price: its cost is unknown, and `pricingOverrides` can tell it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_NO_CHAT = "nobody asks it by messages, chat completions or responses"
_SEARCHES = "searches cost extra, and its answers do not count them"
_CLOCK = "the price depends on the time of day"
_RESOLD = "the data has a reseller's price, or the model runs anywhere"
_TUNED = "every customer's own model has an id of its own"


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's models.

    Attributes:
        name: As people know it.
        ids: The ids that requests carry, by the model's id in the data, where they are not those
            that the data names in full; models without any are retired.
        left_out: Models of the data, or single ids of them, that get no price, and why.
        instead: Kinds of price that may be missing, and those that then hold for their tokens.
        unused: Kinds of price that no answer has to be billed by: it would not say how many, or has
            terms that have no price.
    """

    name: str
    ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()


def _each(reasons: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((model, why) for why, models in reasons.items() for model in models.split())


_ANTHROPIC = Vendor(
    "Anthropic",
    ids={
        # Without any: had no prompt caching.
        "claude-2": (),
        "claude-v1": (),
        "claude-3-sonnet": (),
        "claude-3-haiku": ("claude-3-haiku-20240307",),
        "claude-3-opus-latest": ("claude-3-opus-20240229", "claude-3-opus-latest"),
        "claude-3-5-haiku-latest": ("claude-3-5-haiku-20241022", "claude-3-5-haiku-latest"),
        "claude-3-5-sonnet": (
            "claude-3-5-sonnet-20240620",
            "claude-3-5-sonnet-20241022",
            "claude-3-5-sonnet-latest",
        ),
        "claude-3-7-sonnet-latest": ("claude-3-7-sonnet-20250219", "claude-3-7-sonnet-latest"),
        "claude-haiku-4-5": ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        "claude-opus-4-0": ("claude-opus-4-0", "claude-opus-4-20250514"),
        "claude-opus-4-1": ("claude-opus-4-1", "claude-opus-4-1-20250805"),
        "claude-opus-4-5": ("claude-opus-4-5", "claude-opus-4-5-20251101"),
        "claude-opus-5": ("claude-opus-5",),
        "claude-sonnet-4-0": ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
        "claude-sonnet-4-5": ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    },
)
# Azure serves these models under the same ids, and its global deployments at the same prices; the
# data's own rows for Azure are few, and tell nothing else of them. What it adds for a region or a
# data zone its answers do not say.
_OPENAI = Vendor(
    "OpenAI",
    ids={"computer-use": ("computer-use-preview",)},
    left_out=dict(
        _each(
            {
                _NO_CHAT: """
                    ada babbage babbage-002 curie davinci davinci-002 text-davinci-002
                    text-davinci-003 gpt-3.5-turbo-instruct
                    text-embedding-3-large text-embedding-3-small text-embedding-ada-002 moderation
                    chatgpt-image-latest gpt-image-1 gpt-image-1-mini gpt-image-1.5 gpt-image-2
                    gpt-image-2.5-flare gpt-image-2.5-sunburst
                    gpt-4o-mini-realtime-preview gpt-4o-realtime-preview gpt-live-1
                    gpt-live-transcribe gpt-realtime gpt-realtime-2 gpt-realtime-mini
                    gpt-realtime-translate gpt-realtime-whisper
                    gpt-4o-mini-transcribe gpt-4o-mini-tts gpt-4o-transcribe gpt-transcribe tts-1
                    tts-1-hd whisper-1
                """,
                _SEARCHES: """
                    gpt-4o-search-preview gpt-4o-mini-search-preview
                    gpt-4o-mini-search-preview-2025-03-11 gpt-5-search-api o3-deep-research
                    o4-mini-deep-research
                """,
                _RESOLD: """
                    gpt-4o:extended gpt-5-image gpt-5-image-mini gpt-5.4-image-2 gpt-oss-120b
                    gpt-oss-20b gpt-oss-safeguard-20b
                """,
                _TUNED: """
                    ft:gpt-3.5-turbo- ft:gpt-4o ft:gpt-4o-mini gpt-4o-mini-2024-07-18.ft-
                """,
            }
        )
    ),
    # A cache that has no price is billed as input. One that has is priced for the time it lives
    # without being asked for a longer one, of which an answer says nothing.
    instead={
        "cache_read_mtok": "input_mtok",
        "cache_write_mtok": "input_mtok",
        "cache_write_1h_mtok": "cache_write_mtok",
    },
    unused=frozenset(
        {"web_searches_kcount", "storage_searches_kcount", "input_audio_mtok", "output_audio_mtok"}
    ),
)
_DEEPSEEK = Vendor(
    "DeepSeek",
    left_out=dict(
        _each(
            {
                _CLOCK: """
                    deepseek-chat deepseek-flash deepseek-reasoner deepseek-v4-flash
                    deepseek-v4-pro
                """,
                _RESOLD: "deepseek-v3.1-terminus deepseek-v3.2 deepseek-v3.2-exp",
            }
        )
    ),
    instead=_OPENAI.instead,
)

VENDORS: Mapping[str, Vendor] = {
    "anthropic": _ANTHROPIC,
    "openai": _OPENAI,
    "deepseek": _DEEPSEEK,
}
"""The vendors of the table, by their id in the data."""
