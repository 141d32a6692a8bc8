"""The overlay World: it reads and fails as the real one does, and leaves no trace."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cco_migrate.errors import ToolkitError
from cco_migrate.overlay import OverlayFiles, OverlayProcesses, overlay
from cco_migrate.world import Files, Processes, World

LOOKING = {
    "python_module", "same_process", "started_at", "birth", "carrying", "environment",
    "host", "operator",
}  # fmt: skip
NAMES = ("kept", "gone", "link", "folder/deep", "nowhere/file", "kept/below")
Seen = bytes | str | None


def test_every_port_that_could_change_something_is_overlaid(world: World) -> None:
    for real, over in ((Files, OverlayFiles), (Processes, OverlayProcesses)):
        left = {name for name in vars(real) if not name.startswith("_")} - set(vars(over))
        assert left <= LOOKING, f"{over.__name__} would let {left} through"


@contextmanager
def tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        (root / "kept").write_bytes(b"kept\n")
        (root / "link").symlink_to("kept")
        (root / "folder").mkdir()
        yield root


def snapshot(root: Path) -> Mapping[str, object]:
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mtime_ns, path.lstat().st_mode, path.lstat().st_ino,
            path.read_bytes() if path.is_file() else None,
        )
        for path in (root, *root.rglob("*"))
    }  # fmt: skip


operations = st.lists(
    st.tuples(
        st.sampled_from(("replace", "append", "truncate", "remove", "make_directory")),
        st.sampled_from(NAMES),
        st.binary(max_size=4),
    ),
    max_size=8,
)


def carried_out(files: Files, root: Path, verb: str, name: str, data: bytes) -> Seen:
    """Do one operation; return the kind of its failure, or None."""
    path = root / name
    acts: Mapping[str, Callable[[], None]] = {
        "replace": lambda: files.replace(path, data),
        "append": lambda: files.append(path, data),
        "truncate": lambda: files.truncate(path, len(data)),
        "remove": lambda: files.remove(path),
        "make_directory": lambda: files.make_directory(path),
    }
    try:
        acts[verb]()
    except OSError as error:
        return type(error).__name__
    return None


def read(files: Files, path: Path) -> Seen:
    try:
        return files.read_if_there(path)
    except OSError as error:
        return type(error).__name__


@given(operations)
def test_overlay_reads_as_the_real_files_would_and_leaves_no_trace(
    todo: list[tuple[str, str, bytes]],
) -> None:
    with tree() as real_root, tree() as root:
        real, over, before = Files(), OverlayFiles(Files()), snapshot(root)
        for one in todo:
            assert bool(carried_out(real, real_root, *one)) == bool(carried_out(over, root, *one))
        for name in NAMES:
            now = read(real, real_root / name)
            if not isinstance(now, str):
                assert read(over, root / name) == now, name
        assert snapshot(root) == before


def test_what_is_below_is_read_once(tmp_path: Path) -> None:
    path, files = tmp_path / "file", OverlayFiles(Files())
    path.write_bytes(b"old")
    assert files.read(path) == b"old"
    path.write_bytes(b"theirs")
    assert files.read(path) == b"old"
    files.replace(path, b"new")
    assert files.read(path) == b"new"


def test_file_where_a_directory_was_looked_for_is_noticed(tmp_path: Path) -> None:
    files, inner = OverlayFiles(Files()), tmp_path / "name" / "file"
    assert files.read_if_there(inner) is None
    files.replace(tmp_path / "name", b"")
    with pytest.raises(NotADirectoryError):
        files.read_if_there(inner)
    files.remove(tmp_path / "name")
    assert files.read_if_there(inner) is None
    files.make_directory(tmp_path / "name")
    files.replace(inner, b"new")
    assert files.read(inner) == b"new"


def test_link_is_followed_to_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    files = OverlayFiles(Files())
    files.replace(tmp_path / "link", b"new")
    assert files.read(tmp_path / "target") == b"new"
    assert files.changes == {(tmp_path / "target").resolve(): b"new"}
    assert (tmp_path / "target").read_bytes() == b"old"


def test_directory_made_in_place_of_a_link_has_none_of_the_links_behind_it(tmp_path: Path) -> None:
    link, elsewhere = tmp_path.resolve() / "link", tmp_path.resolve() / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").symlink_to("target")
    link.symlink_to("elsewhere")
    files = OverlayFiles(Files())
    files.remove(link)
    files.make_directory(link)
    files.replace(link / "file", b"new")
    assert files.changes == {link: None, link / "file": b"new"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_directory_that_may_not_be_written_fails_as_in_reality(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        OverlayFiles(Files()).replace(tmp_path / "new", b"")
    tmp_path.chmod(0o700)


def test_no_process_is_started_or_signalled(world: World, tmp_path: Path) -> None:
    over, _ = overlay(world)
    with pytest.raises(ToolkitError, match="may not start true"):
        over.processes.run(["true"], 1)
    with pytest.raises(ToolkitError, match="may not start true"):
        over.processes.spawn(["true"], tmp_path / "log")
    with pytest.raises(ToolkitError, match=f"may not signal pid {os.getpid()}"):
        over.processes.signal(os.getpid(), 0)
    assert over.processes.same_process(os.getpid(), world.processes.started_at(os.getpid()))
    assert list(tmp_path.iterdir()) == []


def test_only_reading_requests_are_sent(world: World, serve: Callable[..., str]) -> None:
    asked: list[str] = []

    def script(method: str, path: str, _body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        asked.append(f"{method} {path}")
        return 200, {}, b"{}"

    url, (over, _) = serve(script), overlay(world)
    assert over.http.client.get(f"{url}/health").status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        with pytest.raises(ToolkitError, match=f"may not send {method}"):
            over.http.client.request(method, f"{url}/v1/messages")
    over.http.close()
    assert asked == ["GET /health"]
    assert isinstance(over.http.client, httpx.Client)
    over.http.close()


def test_waiting_takes_no_time_and_moves_the_clock(world: World) -> None:
    over, _ = overlay(world)
    begun, now = world.clock.monotonic(), over.clock.now()
    assert not over.clock.wait_until(lambda: False, 3600, every_s=60)
    assert world.clock.monotonic() - begun < 60
    assert (over.clock.now() - now).total_seconds() >= 3600
