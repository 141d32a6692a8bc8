"""What a removal is planned from: a clean repository, and a manifest beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.removal.looking import look

if TYPE_CHECKING:
    from tests.unit.cco_migrate.removal.conftest import Bench

MANIFEST = Path(__file__).parents[3] / "data" / "removal" / "removal.toml"


def test_repository_and_manifest_are_what_a_plan_is_made_of(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.root)
    assert look(bench.instance, Path(), MANIFEST, bench.world) == bench.given


def test_repository_nobody_can_remove_from_is_refused(bench: Bench, tmp_path: Path) -> None:
    (bench.root / "README.md").write_text("mine\n")
    with pytest.raises(InvalidInput, match=r"not committed: README\.md"):
        look(bench.instance, bench.root, MANIFEST, bench.world)
    empty = tmp_path / "empty"
    bench.git("init", "--quiet", str(empty))
    with pytest.raises(InvalidInput, match="has no commit yet"):
        look(bench.instance, empty, MANIFEST, bench.world)
    with pytest.raises(InvalidInput, match="not the working tree of a git repository"):
        look(bench.instance, tmp_path / "nowhere", MANIFEST, bench.world)
