"""Runbooks are rendered from the plans; what is checked in must be what the plans say."""

from __future__ import annotations

import pytest

from cco_migrate import resources, runbook
from cco_migrate.migrations import MIGRATIONS
from cco_migrate.migrations.guide import GUIDES
from cco_migrate.tasks.steps import STEPS


def test_every_migration_has_a_guide() -> None:
    assert set(GUIDES) == set(runbook.TITLES) == set(MIGRATIONS)


@pytest.mark.parametrize("kind", MIGRATIONS)
def test_runbook_that_is_checked_in_is_fresh(kind: str) -> None:
    path = resources.ROOT / "runbooks" / f"{kind}.md"
    hint = f"write it again: invoke runbook --kind {kind} > {path.name}"
    assert path.read_text().rstrip() == runbook.render(kind).rstrip(), hint


def test_every_step_that_is_named_has_its_task() -> None:
    assert set(GUIDES["model-overrides"]) == set(STEPS)
