"""What providers of one format take differently, for requests that the gateway writes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MAX_TOKENS, MAX_COMPLETION_TOKENS = "max_tokens", "max_completion_tokens"
"""The two names of the output limit in chat completions: the first one, and OpenAI's newer one."""


@dataclass(frozen=True, slots=True)
class Form:
    """How one provider wants one model asked; the defaults are OpenAI's own.

    A request that the client wrote in the provider's format is not touched by it.

    Attributes:
        limit: The field of chat completions for the output limit.
        stream_options: Whether chat streams are asked for their usage.
        efforts: Which efforts the model takes; None when nobody knows.
        effort_thinks: Whether an effort makes a model think, and is refused by one that cannot.
        highest: The effort above `high` that is sent where nobody knows which are taken.
        off: The effort that lets every model answer without thinking; None when there is none.
        thinking_switch: Whether `thinking.type` of chat completions turns thinking on and off.
        accounts: Whether it is told who asks and in which class of service, for the accounts of its
            own customers.
        json_schema: Whether chat completions take a schema for the answer.
        thinking_field: Where messages of the model carry their thinking back to it, an empty one
            too; None where it is not wanted.
    """

    limit: str = MAX_COMPLETION_TOKENS
    stream_options: bool = True
    efforts: tuple[str, ...] | None = None
    effort_thinks: bool = False
    highest: str = "xhigh"
    off: str | None = None
    thinking_switch: bool = False
    accounts: bool = True
    json_schema: bool = True
    thinking_field: str | None = None


OPENAI = Form()
"""OpenAI's own, of a model nobody knows."""
