"""The report of a run: built as data, rendered three ways, and verified offline."""

from __future__ import annotations

from cco_migrate.report.answers import Answer, ChecklistItem
from cco_migrate.report.checklist import checklist
from cco_migrate.report.context import build, rollback_command
from cco_migrate.report.rendering import draft, environment, render

__all__ = [
    "Answer",
    "ChecklistItem",
    "build",
    "checklist",
    "draft",
    "environment",
    "render",
    "rollback_command",
]
