"""The report's files: the context as JSON, and its Markdown and HTML. Reads templates only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from cco_migrate import resources
from cco_migrate.model import Plan
from cco_migrate.report.context import build
from cco_migrate.runs.journal import Entry, RunState

if TYPE_CHECKING:
    import jinja2

DOCUMENT = "report.json"
TEMPLATES = {"report.md": "report.md.j2", "report.html": "report.html.j2"}


def render(
    plan: Plan,
    state: RunState,
    version: str,
    now: datetime | None = None,
    entries: Sequence[Entry] = (),
) -> dict[str, str]:
    """Return the report's files by name; see `build`."""
    context, templates = build(plan, state, version, now, entries), environment()
    text = json.dumps(context, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    pages = {
        name: templates.get_template(source).render(context) for name, source in TEMPLATES.items()
    }
    return {DOCUMENT: text, **pages}


@cache  # each template is compiled once a process: a dry run of many targets renders many reports
def environment() -> jinja2.Environment:
    """Return the environment of all templates: HTML is escaped, a missing name is an error."""
    import jinja2  # noqa: PLC0415  # 60 ms that `--list` must not pay

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.template_dir()),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
