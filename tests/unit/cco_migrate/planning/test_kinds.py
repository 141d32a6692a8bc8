"""The kinds of migration: what must hold for every row, and options of the wrong kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.migrations import MIGRATIONS
from cco_migrate.migrations.guide import GUIDES
from cco_migrate.options import OPTIONS, PLANNING
from cco_migrate.planning.kinds import KINDS, kind_of
from cco_migrate.runs.store import PREFIX
from cco_migrate.session import DEFAULT_KIND, MigrateOptions

OTHER = {"model-overrides": "gateway-cutover", "gateway-cutover": "model-overrides"}


def test_every_migration_has_its_kind_guide_and_prefix() -> None:
    assert KINDS.keys() == MIGRATIONS.keys() == GUIDES.keys() <= PREFIX.keys()
    assert DEFAULT_KIND in KINDS


@pytest.mark.parametrize("name", KINDS)
def test_own_options_exist_with_the_defaults_of_the_command_line(name: str) -> None:
    fresh = MigrateOptions()
    for option in KINDS[name].own:
        assert option in PLANNING
        assert getattr(fresh, option) == OPTIONS[option].default


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name, kind in KINDS.items() for option in sorted(kind.own)],
)
def test_option_of_another_kind_is_refused(name: str, option: str) -> None:
    default = OPTIONS[option].default
    other: Any = {bool: True, int: 7, str: "x"}[type(default)]  # Any: of the option's type
    given = replace(MigrateOptions(kind=OTHER[name]), **{option: other})
    with pytest.raises(InvalidInput, match=f"--{option.replace('_', '-')}.*--kind {name}"):
        kind_of(given)
    assert kind_of(replace(given, kind=name))[0] == name


def test_no_kind_is_the_usual_one_and_an_unknown_one_is_refused() -> None:
    assert kind_of(MigrateOptions())[0] == DEFAULT_KIND
    with pytest.raises(InvalidInput, match="--kind router: unknown; there is: model-overrides"):
        kind_of(MigrateOptions(kind="router"))
