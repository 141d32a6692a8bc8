"""The ports to the outside: files are replaced whole or not at all, and a pid is a process."""

from __future__ import annotations

import gzip
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from cco_migrate.errors import ToolkitError
from cco_migrate.world import Clock, Files, Processes, World, free_bytes

files, processes = Files(), Processes()


class SteppedClock(Clock):
    """Moves only when somebody waits."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def pause(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as process:
        yield process
        process.kill()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_replace_makes_a_private_file(tmp_path: Path) -> None:
    files.replace(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("old", "asked", "kept"), [(None, 0o644, 0o644), (0o640, 0o644, 0o640)])
def test_replace_keeps_the_mode_of_the_old_file(
    tmp_path: Path, old: int | None, asked: int, kept: int
) -> None:
    path = tmp_path / "a"
    if old is not None:
        path.write_text("old")
        path.chmod(old)
    files.replace(path, b"new", mode=asked)
    assert path.stat().st_mode & 0o777 == kept


@pytest.mark.parametrize("there", [True, False])
def test_replace_follows_a_symbolic_link(tmp_path: Path, there: bool) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.toml", tmp_path / "a.toml"
    if there:
        target.write_text("old")
    link.symlink_to(target)
    files.replace(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["a.toml", "real"]


def test_replace_leaves_no_file_behind_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").write_text("x")
    with pytest.raises(OSError, match="directory"):
        files.replace(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a"]


def test_replace_takes_over_what_a_killed_process_of_the_same_pid_left(tmp_path: Path) -> None:
    (tmp_path / f".a.{os.getpid()}.new").write_text("half of")
    files.replace(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"new"


def with_full_disk(code: str, path: Path, room: int) -> None:
    """Run code in a process that may not write files longer than `room` bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    program = (
        "import sys; from pathlib import Path; from cco_migrate.world import Files\n"
        f"path = Path(sys.argv[1])\ntry:\n    {code}\n"
        "except OSError:\n    sys.exit(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, str(path)],
        preexec_fn=limit,  # no threads run here that could hold a lock
        check=False,
    )
    assert done.returncode == 3


def test_replace_on_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with_full_disk("Files().replace(path, b'x' * 200)", tmp_path / "a", room=100)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_append_on_a_full_disk_raises_after_a_part(tmp_path: Path) -> None:
    files.append(tmp_path / "log", b"whole\n")
    with_full_disk("Files().append(path, b'x' * 200)", tmp_path / "log", room=100)
    assert (tmp_path / "log").read_bytes() == b"whole\n" + b"x" * 94


def test_append_adds_to_a_private_file(tmp_path: Path) -> None:
    files.append(tmp_path / "log", b"1\n")
    files.append(tmp_path / "log", b"2\n")
    assert (tmp_path / "log").read_bytes() == b"1\n2\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_truncate_keeps_the_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"whole\ntorn")
    files.truncate(tmp_path / "log", 6)
    assert (tmp_path / "log").read_bytes() == b"whole\n"


def test_read_if_there_tells_absent_from_unreadable(tmp_path: Path) -> None:
    assert files.read_if_there(tmp_path / "a") is None
    with pytest.raises(OSError, match="directory"):
        files.read_if_there(tmp_path)


@pytest.mark.parametrize("place", ["a", "no-such-directory/a"])
def test_remove_of_an_absent_file_does_nothing(tmp_path: Path, place: str) -> None:
    files.remove(tmp_path / place)
    assert names(tmp_path) == []


def test_writable_is_false_for_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert files.writable(tmp_path)
    assert not files.writable(tmp_path / "absent")


@pytest.mark.parametrize(
    ("true_at", "timeout_s", "in_time"), [(0, 0, True), (3, 5, True), (9, 5, False)]
)
def test_wait_until_looks_until_the_time_is_over(
    true_at: float, timeout_s: float, in_time: bool
) -> None:
    clock = SteppedClock()
    assert clock.wait_until(lambda: clock.at >= true_at, timeout_s, every_s=1) is in_time
    assert clock.at == min(true_at, timeout_s)


def test_same_process_is_true_for_the_one_that_started_then(
    child: subprocess.Popen[bytes],
) -> None:
    assert processes.same_process(child.pid, processes.started_at(child.pid))


@pytest.mark.parametrize("years", [-1, 1])
def test_same_process_is_false_for_a_reused_pid(child: subprocess.Popen[bytes], years: int) -> None:
    born = processes.started_at(child.pid) + timedelta(days=365 * years)
    assert not processes.same_process(child.pid, born)


def test_same_process_is_false_for_a_zombie(child: subprocess.Popen[bytes]) -> None:
    born = processes.started_at(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped
    assert not processes.same_process(child.pid, born)


@pytest.mark.parametrize("pid", [0, -1, -4711, 2**40])
def test_same_process_is_false_for_what_is_no_pid(pid: int) -> None:
    assert not processes.same_process(pid, datetime.now(UTC))


def test_environment_is_what_a_process_was_started_with(tmp_path: Path) -> None:
    process = processes.spawn(["sleep", "60"], tmp_path / "log", {"CCO_TEST": "x"})
    try:
        assert Clock().wait_until(
            lambda: processes.environment(process.pid).get("CCO_TEST") == "x", 10
        )
    finally:
        process.kill()
        process.wait()
    assert [processes.environment(pid) for pid in (process.pid, 0, -1, 2**40)] == [{}] * 4


def test_gone_process_has_no_start_and_takes_no_signal(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert not processes.signal(child.pid, signal.SIGTERM)
    with pytest.raises(ToolkitError, match="is gone"):
        processes.started_at(child.pid)


def test_run_returns_status_and_both_outputs() -> None:
    code = "import os; os.write(1, b'out'); os.write(2, b'err'); raise SystemExit(3)"
    done = processes.run([sys.executable, "-c", code], 60)
    assert (done.code, done.output) == (3, "outerr")


def test_run_keeps_the_end_of_a_long_output() -> None:
    done = processes.run([sys.executable, "-c", "print('x' * 9000 + 'end')"], 60)
    assert (len(done.output), done.output[-4:]) == (4000, "end\n")


@pytest.mark.parametrize(
    ("command", "timeout_s", "said"),
    [
        (["/no/such/program"], 10, "cannot be started: No such file"),
        ([sys.executable, "-c", "import signal; signal.pause()"], 0.2, "did not end within"),
    ],
)
def test_run_explains_a_command_that_cannot_be_run(
    command: list[str], timeout_s: float, said: str
) -> None:
    with pytest.raises(ToolkitError, match=said):
        processes.run(command, timeout_s)


def test_run_does_not_wait_for_what_a_command_left_in_the_background(tmp_path: Path) -> None:
    left = tmp_path / "pid"
    code = (
        "import subprocess, sys; "
        "p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); "
        f"open({str(left)!r}, 'w').write(str(p.pid)); print('done')"
    )
    try:
        assert processes.run([sys.executable, "-c", code], 60).output == "done\n"
    finally:
        os.kill(int(left.read_text()), signal.SIGKILL)


def test_spawn_detaches_and_logs(tmp_path: Path) -> None:
    log = tmp_path / "new" / "service.log"
    code = "import os; print(os.environ['RUN'], os.getsid(0) == os.getpid())"
    process = processes.spawn([sys.executable, "-c", code], log, {"RUN": "mo-1"})
    assert process.wait(60) == 0
    assert log.read_text() == "mo-1 True\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_spawn_explains_a_command_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="cannot be started"):
        processes.spawn(["/no/such/program"], tmp_path / "log")


def test_http_ignores_proxy_variables(
    world: World,
    serve: Callable[[Callable[[str, str, bytes], tuple[int, dict[str, str], bytes]]], str],
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    url = serve(lambda _method, _target, _body: (200, {}, b"direct"))
    assert world.http.client.get(url).text == "direct"
    assert world.http.get(url, {}, 20).body == b"direct"


def test_http_get_returns_status_headers_and_decoded_body(
    world: World, serve: Callable[..., str]
) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/html", "Set-Cookie": "a=1"}
    url = serve(lambda *_request: (404, headers, gzip.compress(b"<p>")))
    answer = world.http.get(f"{url}/page", {"accept": "text/html"}, 20)
    assert (answer.status, answer.body) == (404, b"<p>")
    assert answer.headers["content-type"] == "text/html"


def test_http_get_follows_no_redirect(world: World, serve: Callable[..., str]) -> None:
    asked: list[str] = []

    def script(_method: str, target: str, _body: bytes) -> tuple[int, dict[str, str], bytes]:
        asked.append(target)
        return 302, {"location": "/there"}, b""

    assert world.http.get(f"{serve(script)}/here", {}, 20).status == 302
    assert asked == ["/here"]


def test_http_get_that_fails_says_how(
    world: World, serve: Callable[..., str], closed_port: int
) -> None:
    url = serve(lambda *_request: (200, {"content-encoding": "gzip"}, b"no gzip"))
    with pytest.raises(httpx.DecodingError):
        world.http.get(url, {}, 20)
    with pytest.raises(httpx.ConnectError):
        world.http.get(f"http://127.0.0.1:{closed_port}", {}, 20)


def test_http_get_works_again_after_close(world: World, serve: Callable[..., str]) -> None:
    url = serve(lambda *_request: (200, {}, b"again"))
    for _ in range(2):
        assert world.http.get(url, {}, 20).body == b"again"
        world.http.close()


def test_http_client_can_be_closed_twice_and_used_again(world: World) -> None:
    first = world.http.client
    world.http.close()
    world.http.close()
    assert first.is_closed
    assert not world.http.client.is_closed


def test_free_bytes_is_a_size(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0


def test_sweep_removes_only_what_dead_processes_left(tmp_path: Path) -> None:
    dead, alive = f".a.json.{2**22 + 1}.new", f".a.json.{os.getpid()}.new"
    others = ["a.json", ".hidden", ".b.new", f"c.{2**22 + 1}.new"]
    for name in (dead, alive, *others):
        (tmp_path / name).write_text("")
    Files().sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {alive, *others}
    Files().sweep(tmp_path / "nowhere")


def test_carrying_finds_what_was_started_with_an_environment(tmp_path: Path) -> None:
    processes, mark = Processes(), {"CCO_TEST_MARK": str(tmp_path)}
    assert processes.carrying(mark) == ()
    child = processes.spawn(["sleep", "60"], tmp_path / "log", mark)
    try:
        assert Clock().wait_until(lambda: processes.carrying(mark) == (child.pid,), 60)
        assert processes.carrying({**mark, "CCO_TEST_OTHER": "x"}) == ()
    finally:
        child.kill()
        child.wait()
    assert processes.carrying(mark) == ()


def test_birth_is_the_same_while_a_process_lives_and_none_after(
    child: subprocess.Popen[bytes],
) -> None:
    processes = Processes()
    born = processes.birth(child.pid)
    assert born is not None
    assert processes.birth(child.pid) == born != processes.birth(os.getpid())
    child.kill()
    assert Clock().wait_until(lambda: processes.birth(child.pid) is None, 60)  # a zombie is dead
    child.wait()
    assert processes.birth(child.pid) is None
