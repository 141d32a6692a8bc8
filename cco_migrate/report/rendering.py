"""The report's files: the context as JSON, and its Markdown and HTML. Reads templates only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from cco_migrate import resources
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.model import Plan
from cco_migrate.report.context import build
from cco_migrate.report.lines import Stage
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
    stages: Sequence[Stage] | Unmeasured = (),
) -> dict[str, str]:
    """Return the report's files by name; see `build`."""
    context = build(plan, state, version, now, entries, stages)
    text = json.dumps(context, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    from cco_migrate.report import drawing  # noqa: PLC0415  # the charting library takes 100 ms

    pages = {name: _page(name, {**context, "draw": drawing}) for name in TEMPLATES}
    return {DOCUMENT: text, **pages}


def draft(plan: Plan, state: RunState, version: str) -> dict[str, str]:
    """Return the names `render` gives, all with the text of the quickest page.

    For a dry run, which throws the files away: every page is made of the one context.
    """
    page = _page("report.md", build(plan, state, version))
    return dict.fromkeys((DOCUMENT, *TEMPLATES), page)


def _page(name: str, context: Mapping[str, Any]) -> str:  # Any: a template's context
    return environment().get_template(TEMPLATES[name]).render(context)


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
