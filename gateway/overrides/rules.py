"""Decide which model a request is sent to. Pure."""

from __future__ import annotations

from collections.abc import Iterable


class Overrides:
    """Rules as tables: exact, case-sensitive, first match wins, one pass.

    Args:
        rules: Pairs (requested model, model sent instead).
        agents: Pairs (agent type, model); the type in any case of letters. They come first, and an
            agent without one falls through to the rules.
    """

    __slots__ = ("_agents", "_targets")

    def __init__(
        self, rules: Iterable[tuple[str, str]], agents: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._targets: dict[str, str] = {}
        for source, target in rules:
            self._targets.setdefault(source, target)
        self._agents: dict[str, str] = {}
        for agent, target in agents:
            self._agents.setdefault(agent.casefold(), target)

    def target(self, model: str, agent: str = "") -> str | None:
        """Return the model to send instead; None when no rule changes this one."""
        target = self._agents.get(agent.casefold()) if self._agents else None
        if target is None:
            target = self._targets.get(model)
        return None if target == model else target
