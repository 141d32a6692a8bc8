"""Decide which model a request is sent to. Pure."""

from __future__ import annotations

from collections.abc import Iterable


class Overrides:
    """Rules as a table: exact, case-sensitive, first match wins, one pass."""

    __slots__ = ("_targets",)

    def __init__(self, rules: Iterable[tuple[str, str]]) -> None:
        self._targets: dict[str, str] = {}
        for source, target in rules:
            self._targets.setdefault(source, target)

    def target(self, model: str) -> str | None:
        """Return the model to send instead; None when no rule changes this one."""
        target = self._targets.get(model)
        return None if target == model else target
