"""Phase 3 of the cutover on real processes and a real repository: there, back, and refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "data" / "removal"
CUTOVER = ("migrate", "--kind", "gateway-cutover")
PHASE_1 = (*CUTOVER, "--phase", "1", "--yes")
PHASE_2 = (*CUTOVER, "--phase", "2", "--yes")
BRANCH, TAG, BACK = "remove-http-proxy", "before-proxy-removal", "take-back-remove-http-proxy"
WORDS = "remove 2 groups from sample"
OWN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
LONG_S = 180.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The sample repository on `main`, with the manifest in a folder that git does not track."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "cutover" / "removal.toml"

    def phase_3(self, *more: str, task: str = "migrate") -> tuple[str, ...]:
        return (
            task, "--kind", "gateway-cutover", "--phase", "3", "--manifest", str(self.manifest),
            *more,
        )  # fmt: skip

    def git(self, *words: str, root: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words], cwd=root or self.root, capture_output=True, text=True, check=False,
            env={**os.environ, **OWN},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def branches(self) -> set[str]:
        return set(self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").split())

    def state(self) -> tuple[str, str, str]:
        """What a removal must leave alone."""
        heads = self.git("rev-parse", "HEAD", "main")
        return heads, self.git("status", "--porcelain"), self.git("worktree", "list")


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    made = Sample(tmp_path / "sample")
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(DATA / "repository", made.root, ignore=skip)
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("config", "user.name", "Op")
    made.git("config", "user.email", "op@example.org")
    made.git("config", "user.useConfigOnly", "true")  # no name is guessed from the machine's
    made.git("add", ".")
    made.git("commit", "--quiet", "-m", "both ways")
    shutil.copytree(DATA, made.manifest.parent, ignore=shutil.ignore_patterns("repository"))
    return made


@pytest.fixture(scope="module")
def cut_over(
    tmp_path_factory: pytest.TempPathFactory, deployment: Callable[[Path], Any]
) -> Iterator[Any]:
    """One demo on which phase 2 is done, for tests that change nothing."""
    made = deployment(tmp_path_factory.mktemp("cut-over"))
    done = made.run(*PHASE_2, timeout_s=LONG_S)
    assert done.code == 0, done.err
    yield made
    assert made.run("demo.down").code == 0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def applied(folder: Any, run: str, step: str) -> dict[str, Any]:
    """What the journal says of a step that was carried out."""
    lines = [line for line in folder.journal(run) if line["event"] == "applied"]
    found: dict[str, Any] = next(line["data"] for line in lines if line["step"] == step)
    return found


def tree(root: Path) -> dict[str, tuple[int, int, str]]:
    """Time, mode and content of everything below a folder."""
    found = {}
    for path in (root, *root.rglob("*")):
        about = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (about.st_mtime_ns, about.st_mode, hashlib.sha256(data).hexdigest())
    return found


@pytest.mark.timeout(600)  # a whole cutover of three phases, and three ways back
def test_hard_cutover_and_its_ways_back_break_no_stream_of_a_live_client(
    folder: Any, sample: Sample, live_client: Any, tmp_path: Path
) -> None:
    assert folder.run(*PHASE_1, timeout_s=LONG_S).code == 0
    with live_client(folder.url) as client:
        until(lambda: client.whole > 0)
        soft = folder.run(*PHASE_2, "--json", timeout_s=LONG_S)
        assert soft.code == 0, soft.err
        before = sample.state()

        made = folder.run(*sample.phase_3("--confirm", WORDS, "--json"), timeout_s=LONG_S, env=OWN)
        assert made.code == 0, made.err
        assert sample.branches() == {"main", BRANCH}
        assert sample.state() == before
        again = folder.run(*sample.phase_3("--confirm", WORDS), env=OWN)
        assert (again.code, "merge it, or take it away" in again.err) == (8, True), again.err

        run = made.document["run"]
        sample.git("merge", "--quiet", "--ff-only", BRANCH)
        refused = folder.run("rollback", "--yes", env=OWN)
        assert refused.code == 8, refused.err
        assert "no switch leads back to a proxy that nobody serves" in refused.err
        assert f"cco-migrate rollback --by git --run {run}" in refused.err
        blocked = folder.run("rollback", "--run", soft.document["run"], "--yes", env=OWN)
        assert (blocked.code, f"run {run} came after" in blocked.err) == (8, True), blocked.err

        back = folder.run("rollback", "--by", "git", "--yes", "--json", env=OWN, timeout_s=LONG_S)
        assert back.code == 0, back.err
        assert sample.git("diff", TAG, BACK) == ""
        assert sample.git("rev-parse", "main") == sample.git("rev-parse", BRANCH)
        target = tmp_path / "restored"
        whole = ("rollback", "--by", "bundle", "--to", str(target), "--yes", "--json")
        restored = folder.run(*whole, env=OWN, timeout_s=LONG_S)
        assert restored.code == 0, restored.err
        old = sample.git("rev-parse", f"{TAG}^{{commit}}")
        assert sample.git("rev-parse", "HEAD", root=target) == old
        by_flag = folder.run("rollback", "--run", soft.document["run"], "--yes", timeout_s=LONG_S)
        assert by_flag.code == 0, by_flag.err
        assert "proxyEnabled: true proved" in by_flag.out
        seen = client.whole
        until(lambda: client.whole > seen)

    assert client.faults == []
    for ended, step in ((back, "take-back"), (restored, "restore")):
        facts = applied(folder, ended.document["run"], step)
        assert facts["seconds"] > 0
        assert folder.run("report.verify", "--run", ended.document["run"]).code == 0
    assert folder.run("report.verify", "--run", run).code == 0


def test_dry_run_tells_every_step_and_leaves_no_trace(cut_over: Any, sample: Sample) -> None:
    before = (tree(sample.root), tree(cut_over.home / "migrate"))
    done = cut_over.run(*sample.phase_3("--dry-run", "--json"), env=OWN)
    assert done.code == 0, done.err
    assert (tree(sample.root), tree(cut_over.home / "migrate")) == before
    steps = {row["id"]: row for row in done.document["steps"]}
    assert [name for name, row in steps.items() if not row["assumed"]] == [
        "state", "fits", "report", "back-proof"
    ]  # fmt: skip
    assert [steps[name]["verdict"] for name in ("branch", "remove-1", "remove-2")] == ["would"] * 3
    assert steps["fits"]["summary"] == "every removal applies; 18 references go, none is left"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--yes",), 12, f'the same command with --confirm "{WORDS}"'),
        (("--no-input",), 12, f"has to be confirmed by typing: {WORDS}"),
        (("--confirm", "yes"), 8, f"'yes' was typed, '{WORDS}' is asked for"),
    ],
)
def test_removal_that_nobody_typed_out_is_not_begun(
    cut_over: Any, sample: Sample, words: tuple[str, ...], code: int, said: str
) -> None:
    before = (sample.state(), sample.branches(), tree(cut_over.home / "migrate" / "runs"))
    done = cut_over.run(*sample.phase_3(*words), env=OWN)
    assert (done.code, said in done.err) == (code, True), done.err
    after = (sample.state(), sample.branches(), tree(cut_over.home / "migrate" / "runs"))
    assert after == before
    assert sample.git("tag", "--list") == ""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: a person's, and that of a command."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_person_at_a_terminal_is_asked_for_the_words(
    cut_over: Any, sample: Sample, terminal: tuple[int, int]
) -> None:
    person, command = terminal
    os.write(person, b"yes\n")
    done = cut_over.run(*sample.phase_3(), env=OWN, stdin=command)
    assert done.code == 8, done.err
    assert f"begins when a person has typed: {WORDS}" in done.err
    assert f"To go on, type `{WORDS}`:" in done.err
    assert "'yes' was typed" in done.err
    assert sample.branches() == {"main"}


def _dirty(sample: Sample) -> None:
    (sample.root / "README.md").write_text("mine\n")


def _misspelt(sample: Sample) -> None:
    text = sample.manifest.read_text()
    sample.manifest.write_text(text.replace("delete =", "delet =", 1))


def _stays(sample: Sample) -> None:
    text = sample.manifest.read_text()
    sample.manifest.write_text(text.replace('"proxy_port"', '"gateway_port"', 1))


REFUSED: dict[str, tuple[Callable[[Sample], None], str]] = {
    "dirty": (_dirty, "has changes that are not committed: README.md"),
    "misspelt": (_misspelt, 'removal.toml:14: groups[0].delet: unknown key; write "delete"'),
    "symbol that stays": (_stays, "the manifest does not fit: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_repository_or_manifest_that_does_not_do_is_refused_before_anything_is_touched(
    cut_over: Any, sample: Sample, case: str
) -> None:
    spoil, said = REFUSED[case]
    spoil(sample)
    before = (tree(sample.root), tree(cut_over.home / "migrate" / "runs"))
    done = cut_over.run(*sample.phase_3("--confirm", WORDS), env=OWN)
    assert (done.code, said in done.err) == (8, True), done.err
    assert (tree(sample.root), tree(cut_over.home / "migrate" / "runs")) == before


def test_phase_3_without_a_manifest_says_what_it_needs(cut_over: Any) -> None:
    done = cut_over.run("check", "--kind", "gateway-cutover", "--phase", "3")
    assert (done.code, "--phase 3 needs --manifest FILE" in done.err) == (8, True), done.err


def test_typed_words_that_nobody_asked_for_are_refused(cut_over: Any) -> None:
    done = cut_over.run(*PHASE_1, "--confirm", "anything")
    assert (done.code, "this plan asks for no typed words" in done.err) == (8, True), done.err


def test_proxy_is_not_removed_before_the_soft_cutover_stands(
    shared_demo: Any, sample: Sample
) -> None:
    done = shared_demo.run(*sample.phase_3(task="check"), env=OWN)
    assert (done.code, "no run of phase 2 under" in done.err) == (8, True), done.err
    path = shared_demo.config.parent / "daemon-config.json"
    assert not path.exists()
