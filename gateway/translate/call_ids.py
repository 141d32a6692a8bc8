"""The ids of the tool calls of an answer: each its own, in the alphabet of the client. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.translate.mint import Mint

_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")


def clean_call_id(upstream_id: str) -> str:
    """Return a call's id in Anthropic's alphabet, so that the conversation can go on anywhere.

    The upstream gets it back in the call and in its result alike, so it need not know it again.
    """
    return _FOREIGN.sub("_", upstream_id)


def unchanged(upstream_id: str) -> str:
    """Return a call's id as it is: OpenAI's format has no alphabet."""
    return upstream_id


class CallIds:
    """Gives each call of one answer an id that no other call of the conversation has.

    The upstream's own id stays where it can be one. A bare number is none: servers that count
    begin anew with every answer, and Anthropic refuses a conversation in which an id comes twice.
    """

    __slots__ = ("_form", "_mint", "_prefix", "_taken")

    def __init__(self, mint: Mint, prefix: str, form: Callable[[str], str]) -> None:
        """Begin.

        Args:
            prefix: What a minted id begins with.
            form: From an upstream's id to the one the client is shown.
        """
        self._mint, self._prefix, self._form = mint, prefix, form
        self._taken: set[str] = set()

    def take(self, upstream_id: str | None) -> str:
        """Return the id of the next call; one is minted where the upstream gave none of its own."""
        made = self._form(upstream_id or "")
        if not made or made.isdigit() or made in self._taken:
            made = f"{self._prefix}{self._mint.token()}"
        self._taken.add(made)
        return made
