"""The kinds of migration: what planning has to know of each, beside how its plan is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import MIGRATIONS, Inputs
from cco_migrate.model import Plan
from cco_migrate.planning import cutover_kind, overrides_kind
from cco_migrate.planning.preflight import Line, Seen
from cco_migrate.runs.store import RunStore
from cco_migrate.session import DEFAULT_KIND, MigrateOptions


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of migration.

    Attributes:
        own: Options that no other kind has.
        old_path: Whether its demo begins with clients on the old proxy.
        ask: Fills in what only this kind asks of the options, and how its change is verified.
        check_files: The first part of its preflight: are the files fit to be planned from?
        look: The rest of it; adds what it sees to the list, and returns the founded plan.
        is_done: Whether what the plan wants is so already, loaded and serving.
        unchanged: What is said then, before the gateway's URL.
        restored: What its way back has proved, in words.
    """

    own: frozenset[str]
    old_path: bool
    ask: Callable[[Inputs, MigrateOptions, Context, RunStore], Inputs]
    check_files: Callable[[Inputs, Context], list[Line]]
    look: Callable[[Plan, Inputs, Context, frozenset[str], list[Seen]], Plan]
    is_done: Callable[[Plan, Context], bool]
    unchanged: str
    restored: Callable[[Plan], str]


KINDS: Mapping[str, Kind] = {
    "model-overrides": Kind(
        own=frozenset({"fix", "traffic", "requests", "watch_s"}),
        old_path=False,
        ask=overrides_kind.ask,
        check_files=overrides_kind.check_files,
        look=overrides_kind.look,
        is_done=overrides_kind.is_done,
        unchanged="overrides are enabled and serving on",
        restored=overrides_kind.restored,
    ),
    "gateway-cutover": Kind(
        own=frozenset(
            {
                "phase",
                "standby",
                "canary",
                "canary_soak",
                "model",
                "streams",
                "baseline",
                "manifest",
                "repository",
            }
        ),
        old_path=True,
        ask=cutover_kind.ask,
        check_files=cutover_kind.check_files,
        look=cutover_kind.look,
        is_done=cutover_kind.is_done,
        unchanged="clients are sent to the gateway, as planned, on",
        restored=cutover_kind.restored,
    ),
}
"""By the names of MIGRATIONS."""


def kind_of(options: MigrateOptions) -> tuple[str, Kind]:
    """Return the kind that was asked for, with its name.

    Raises:
        InvalidInput: There is no such kind, or an option belongs to another one.
    """
    name = options.kind or DEFAULT_KIND
    if name not in KINDS:
        raise InvalidInput(f"--kind {name}: unknown; there is: {', '.join(MIGRATIONS)}")
    fresh = MigrateOptions()
    for other, row in KINDS.items():
        given = [n for n in sorted(row.own) if getattr(options, n) != getattr(fresh, n)]
        if other != name and given:
            said = ", ".join(f"--{one.replace('_', '-')}" for one in given)
            raise InvalidInput(f"{said}: belongs to --kind {other}; this is a {name}")
    return name, KINDS[name]
