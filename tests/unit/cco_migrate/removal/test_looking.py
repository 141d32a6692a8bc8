"""What a removal is planned from: a repository, and a manifest in it or beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.removal.looking import look
from cco_migrate.vcs.repository import root_of

if TYPE_CHECKING:
    from tests.unit.cco_migrate.removal.conftest import Bench

MANIFEST = Path(__file__).parents[3] / "data" / "removal" / "removal.toml"


def test_repository_and_manifest_are_what_a_plan_is_made_of(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.root)
    assert look(bench.instance, MANIFEST, Path(), bench.world) == bench.given


def test_repository_is_the_one_the_manifest_is_in_unless_another_is_named(bench: Bench) -> None:
    folder = bench.root / "cutover" / "phase 3"
    shutil.copytree(MANIFEST.parent, folder, ignore=shutil.ignore_patterns("repository"))
    assert look(bench.instance, folder / MANIFEST.name, None, bench.world) == bench.given
    with pytest.raises(InvalidInput, match=r"in no working tree of git; .* --repository"):
        root_of(bench.runs.parent)


def test_repository_nobody_can_remove_from_is_refused(bench: Bench, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    bench.git("init", "--quiet", str(empty))
    with pytest.raises(InvalidInput, match="has no commit yet"):
        look(bench.instance, MANIFEST, empty, bench.world)
    with pytest.raises(InvalidInput, match="not the working tree of a git repository"):
        look(bench.instance, MANIFEST, tmp_path / "nowhere", bench.world)
