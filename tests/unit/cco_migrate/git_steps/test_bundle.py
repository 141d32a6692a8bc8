"""Tags and bundles of real repositories: what they keep comes back whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cco_migrate.errors import InvalidInput, StalePlan, ToolkitError

pytestmark = pytest.mark.process

Bench = Any  # the conftest's, which tests cannot import
FILE = "model-overrides.toml"
OFF = "enabled = false\n"


@pytest.mark.smoke
def test_tag_and_its_undo(bench: Bench) -> None:
    before = bench.state()
    step = bench.step("git.tag", name="before-cutover", message="a way back")
    target = bench.do(step)["commit"]
    assert bench.git("rev-parse", "before-cutover^{commit}") == target
    assert bench.git("cat-file", "-t", "before-cutover") == "tag"
    assert bench.again(step)["commit"] == target
    assert bench.undo(step)
    assert bench.state() == before
    assert bench.undo(step) == ""


def test_tag_that_was_there_or_was_moved_stays(bench: Bench) -> None:
    step = bench.step("git.tag", name="t", message="m")
    bench.git("tag", "t")
    bench.do(step)
    assert bench.undo(step) == ""
    bench.git("tag", "--delete", "t")
    bench.do(step)
    bench.git("tag", "--force", "t", "HEAD~1")
    assert bench.undo(step) == ""
    assert bench.git("rev-parse", "t") == bench.git("rev-parse", "HEAD~1")
    with pytest.raises(InvalidInput, match="it is not moved"):
        bench.do(step)
    with pytest.raises(StalePlan, match="by somebody else"):
        bench.again(step)


@pytest.mark.parametrize("name", ["a b", "", "x..y", "a.lock"])
def test_name_no_tag_can_have_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(InvalidInput, match="not a name a tag can have"):
        bench.do(bench.step("git.tag", name=name, message="m"))


def test_bundle_restores_every_branch_and_tag(bench: Bench, tmp_path: Path) -> None:
    bench.git("branch", "side", "HEAD~1")
    bench.git("tag", "v1")
    step = bench.step("git.bundle", path=str(tmp_path / "out" / "repo.bundle"))
    facts = bench.do(step)
    bundle = Path(facts["path"])
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in bundle.parent.iterdir()] == ["repo.bundle"]
    assert bench.undo(step) == ""
    target = tmp_path / "restored"
    restore = bench.step("git.restore-bundle", bundle=str(bundle), target=str(target))
    assert bench.do(restore)["head"] == bench.git("rev-parse", "HEAD") == facts["head"]
    assert (target / FILE).read_text() == OFF
    assert bench.git_in(target, "rev-parse", "v1") == bench.git("rev-parse", "v1")
    assert bench.again(restore)["head"] == facts["head"]
    assert bench.undo(restore)
    assert not target.exists()
    assert bench.undo(restore) == ""


def test_restored_folder_somebody_worked_in_is_not_removed(bench: Bench, tmp_path: Path) -> None:
    bench.do(bench.step("git.bundle", path=str(tmp_path / "b")))
    target = tmp_path / "restored"
    restore = bench.step("git.restore-bundle", bundle=str(tmp_path / "b"), target=str(target))
    bench.do(restore)
    (target / "work.txt").write_text("mine")
    with pytest.raises(ToolkitError, match="holds work"):
        bench.undo(restore)
    bench.git_in(target, "add", ".")
    bench.git_in(target, "commit", "--quiet", "-m", "mine")
    with pytest.raises(ToolkitError, match="holds work"):
        bench.undo(restore)
    assert (target / "work.txt").read_text() == "mine"


def test_bundle_that_could_not_restore_everything_is_refused(bench: Bench, tmp_path: Path) -> None:
    empty, shallow = tmp_path / "empty", tmp_path / "shallow"
    bench.git_in(tmp_path, "init", "--quiet", str(empty))
    bench.git_in(tmp_path, "clone", "--quiet", "--depth=1", f"file://{bench.root}", str(shallow))
    (tmp_path / "there").write_text("x")
    for root, name, said in (
        (empty, "b", "no commit"), (shallow, "b", "shallow"), (bench.root, "there", "exists"),
    ):  # fmt: skip
        bench.root = root
        with pytest.raises(InvalidInput, match=said):
            bench.do(bench.step("git.bundle", path=str(tmp_path / name)))


@pytest.mark.parametrize("data", [None, b"", b"# v2 git bundle\nnonsense"])
def test_what_is_no_bundle_is_refused_and_leaves_nothing(
    bench: Bench, tmp_path: Path, data: bytes | None
) -> None:
    bundle, target = tmp_path / "b", tmp_path / "restored"
    if data is not None:
        bundle.write_bytes(data)
    with pytest.raises(ToolkitError):
        bench.do(bench.step("git.restore-bundle", bundle=str(bundle), target=str(target)))
    assert not list(tmp_path.glob("*restored*"))
