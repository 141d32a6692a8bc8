"""The table of what models accept. Pure.

What is not known of a model is left out of the table, and stays None here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway import model_ids


@dataclass(frozen=True, slots=True)
class Capability:
    """What one model accepts; None where nobody knows.

    Attributes:
        context_tokens: Longest prompt.
        max_output_tokens: Largest `max_tokens`.
        effort: Accepted efforts; empty: none is.
        effort_without_thinking: Those accepted while thinking is off; None: the same.
        message_effort: Whether single messages may set the effort of what follows them.
        thinking: Accepted values of `thinking.type`.
        max_thinking_tokens: Largest `budget_tokens`, where `max_tokens` is not the only limit.
        system_messages: Whether instructions may stand in the middle of the conversation.
        sampling: Whether temperature, top_p and top_k may be set.
        forced_tool_choice: Whether the use of a tool may be forced.
        unsupported_betas: Betas that are refused.
    """

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    effort: tuple[str, ...] | None = None
    effort_without_thinking: tuple[str, ...] | None = None
    message_effort: bool | None = None
    thinking: tuple[str, ...] | None = None
    max_thinking_tokens: int | None = None
    system_messages: bool | None = None
    sampling: bool | None = None
    forced_tool_choice: bool | None = None
    unsupported_betas: tuple[str, ...] = ()


class Capabilities:
    """What models accept. A model is found by its id, else by its id without its date."""

    __slots__ = ("_models",)

    def __init__(self, models: Mapping[str, Capability]) -> None:
        self._models = models

    @classmethod
    def parse(
        cls,
        document: Mapping[str, Any],  # Any: a JSON document
        own: Mapping[str, Mapping[str, object]] | None = None,
    ) -> Capabilities:
        """Return the table of a document as `schemas/capabilities.schema.json` has it.

        Args:
            document: The table.
            own: Rows that replace, key by key, what the table says of their models.
        """
        rows: dict[str, Mapping[str, object]] = dict(document["models"])
        for model, row in (own or {}).items():
            # What is known of `NAME` holds for `NAME-20251001`, too, of which one fact is told.
            known = model_ids.find(rows, model) or {}
            rows[model] = {**known, **row}
        return cls({model: _capability(row) for model, row in rows.items()})

    def of(self, model: str) -> Capability | None:
        """Return what a model accepts; None when it is not in the table: it is never adapted."""
        return model_ids.find(self._models, model)


def _capability(row: Mapping[str, Any]) -> Capability:  # Any: JSON or TOML
    facts = {key: value for key, value in row.items() if key != "sources"}
    lists = {key: tuple(value) for key, value in facts.items() if isinstance(value, list)}
    return Capability(**{**facts, **lists})
