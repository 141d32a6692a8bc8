"""The gates in three worlds, by `cco-migrate gate` and by plain pytest: one verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from jsonschema import Draft202012Validator

from cco_migrate import resources

LIAR = Path(__file__).with_name("lying_gateway.py")
ROOT = Path(__file__).parents[3]
EASY = {"stream-conformance": {"go": 0.5, "no_go": 0.5}}
SEEN = {"minimum_samples": 3, "window_s": 1}
# What days of traffic say is said in seconds, for the demo has neither.
SHORT = {
    "error-rate": {"go": 0.5, "no_go": 0.5},
    "streaming-failures": {"mode": "observe"},
    "latency-average": {"mode": "observe"},
    "availability": SEEN,
    "latency-ratio": {"go": 5, "no_go": 10, "minimum_samples": 20},
}
# Phase, what it lies about, the criterion that says NO-GO, and words that name the lie.
LATER_LIES = {
    f"{phase} {lie}": (phase, lie, criterion, words)
    for phase, lie, criterion, words in (
        (0, "stream-cut", "stream-conformance", "no message_stop"),
        (2, "streams-of-others-break", "streaming-failures", "requests (100.00%)"),
        (2, "requests-of-others-fail", "error-rate", "requests (100.00%)"),
        (2, "slow", "latency-ratio", "× the baseline"),
        (3, "requests-of-others-fail", "error-rate", "requests (100.00%)"),
        (3, "records-lost-and-doubled", "audit-complete", "3 not recorded, 3 recorded twice"),
    )
}
# What it lies about: the criterion that says NO-GO, and words that name the lie.
LIES = {
    "config-not-loaded": ("config-loaded", "worker 0 of generation 1 has 0ld0ld"),
    "stale-worker": ("config-loaded", "1 of 3 contradict: worker 7 of generation 1 has 0ld0ld"),
    "first-delta-dropped": ("canary-intact", "characters at its beginning"),
    "usage-zeroed": ("stream-conformance", "usage says 0 output tokens though content arrived"),
    "usage-unbilled": ("cost-accuracy", "charges wrong, $0.000000 billed"),
    "records-lost-and-doubled": ("audit-complete", "3 not recorded, 3 recorded twice"),
    "counters-reset": ("evidence-integrity", "in the same process"),
    "health-cached": ("evidence-integrity", "health is cached: uptime grew by 0 s"),
    "stream-cut": ("stream-conformance", "no message_stop"),
    "betas-dropped": ("canary-intact", "betas lost: claude-code-20250219"),
    "tools-dropped": ("canary-intact", "the tool call that was asked for did not come"),
    "provider-down": ("gateway-healthy", "provider anthropic is down"),
}


@pytest.fixture
def lying(shared_demo: Any) -> Iterator[Callable[[str], str]]:
    """Start a gateway that tells one lie; returns its URL."""
    started: list[subprocess.Popen[str]] = []

    def start(lie: str) -> str:
        process = subprocess.Popen(
            [sys.executable, str(LIAR), shared_demo.url, lie], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        return f"http://127.0.0.1:{int(process.stdout.readline())}"

    yield start
    for process in started:
        process.kill()
        process.communicate()


def judged(folder: Any, url: str, *words: str) -> Any:
    """Run the gate against a URL with the demo's plan and key."""
    return folder.run(
        "gate", "--url", url, "--config", str(folder.config), "--key", "file:" + str(key(folder)),
        *words,
    )  # fmt: skip


def key(folder: Any) -> Path:
    path: Path = folder.path / "key"
    path.write_text("demo-key")
    return path


def plain_pytest(folder: Any, tmp_path: Path, *words: str, cwd: Path | None = None) -> Any:
    """Run pytest as an operator would, with our plugin found by its entry point."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    info = tmp_path / "site" / "cco_gates_entry-0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cco-gates-entry\nVersion: 0\n")
    rows = [f"{name} = {module}" for name, module in declared["pytest11"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *rows]) + "\n")
    (tmp_path / "easy.json").write_text(json.dumps(EASY))
    return subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider",
            "--pyargs", "cco_migrate.gates",
            f"--gateway-config={folder.config}", f"--gateway-key=file:{key(folder)}",
            f"--gateway-criteria={tmp_path / 'easy.json'}", *words,
        ],
        cwd=cwd or tmp_path, capture_output=True, text=True, timeout=50, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip


def verdict_of(folder: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((folder / "gate-verdict.json").read_text())
    return parsed


def test_healthy_gateway_is_go_with_every_file_written(
    shared_demo: Any, lying: Callable[[str], str], tmp_path: Path
) -> None:
    files = {name: tmp_path / f"gate.{name}" for name in ("junit", "markdown")}
    summary = tmp_path / "step"
    summary.write_text("# before\n")
    done = shared_demo.run(
        "gate", "--url", lying("nothing"), "--config", str(shared_demo.config), "--key", "demo",
        "--json", *(word for name, path in files.items() for word in (f"--{name}", str(path))),
        env={"GITHUB_STEP_SUMMARY": str(summary)},
    )  # fmt: skip
    assert done.code == 0, done.out
    assert done.document["verdict"] == "GO"
    assert [row["verdict"] for row in done.document["criteria"]] == ["GO"] * 7
    suite = ET.fromstring(files["junit"].read_bytes())[0]  # our own file
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("7", "0", "0")
    assert files["markdown"].read_text().startswith("## GO: gate of phase 1")
    assert summary.read_text() == "# before\n" + files["markdown"].read_text()


def test_demo_needs_no_options(shared_demo: Any) -> None:
    done = shared_demo.run("gate", "--phase", "1")
    assert done.code == 0, done.err
    assert "GO  phase 1" in done.out


@pytest.mark.parametrize("streams", [0, 5])
def test_quiet_gateway_is_inconclusive_and_nothing_is_no_go(shared_demo: Any, streams: int) -> None:
    done = judged(shared_demo, shared_demo.url, "--streams", str(streams), "--json")
    assert done.code == 4
    verdicts = {row["id"]: row["verdict"] for row in done.document["criteria"]}
    assert verdicts["stream-conformance"] == "INCONCLUSIVE"
    assert "NO-GO" not in verdicts.values()


def test_dead_gateway_is_inconclusive_and_says_that_nobody_answers(shared_demo: Any) -> None:
    done = judged(shared_demo, "http://127.0.0.1:1")
    assert done.code == 4
    assert "http://127.0.0.1:1/health does not answer" in done.out
    assert "so nothing was sent" in done.out


@pytest.mark.parametrize("lie", LIES)
def test_lie_is_no_go_and_named(
    shared_demo: Any, lying: Callable[[str], str], tmp_path: Path, lie: str
) -> None:
    criterion, words = LIES[lie]
    junit = tmp_path / "gate.xml"
    easy = tmp_path / "easy.json"
    easy.write_text(json.dumps(EASY))
    url = lying(lie)
    done = judged(shared_demo, url, "--json", "--junit", str(junit), "--criteria", str(easy))
    assert done.code == 3, done.out
    rows = {row["id"]: row for row in done.document["criteria"]}
    assert rows[criterion]["verdict"] == "NO-GO"
    assert words in "; ".join((rows[criterion]["summary"], *rows[criterion]["notes"]))
    assert criterion in done.document["summary"]
    cases = ET.fromstring(junit.read_bytes()).iter("testcase")  # our own file
    assert criterion in {case.get("name") for case in cases if case.find("failure") is not None}


@pytest.mark.parametrize(("lie", "code"), [("nothing", 0), ("health-cached", 3)])
def test_plain_pytest_says_the_same(
    shared_demo: Any, lying: Callable[[str], str], tmp_path: Path, lie: str, code: int
) -> None:
    url = lying(lie)
    plain = plain_pytest(shared_demo, tmp_path, f"--gateway-url={url}")
    assert plain.returncode == code, plain.stdout
    assert f"{'NO-GO' if code else 'GO'}  phase 1, {url}: " in plain.stdout
    ours = judged(shared_demo, url, "--criteria", str(tmp_path / "easy.json"), "--json")
    assert ours.code == code
    said = verdict_of(tmp_path)
    assert said["verdict"] == ours.document["verdict"]
    assert [(row["id"], row["verdict"]) for row in said["criteria"]] == [
        (row["id"], row["verdict"]) for row in ours.document["criteria"]
    ]


SPOILS = {
    "skip": "item.add_marker(pytest.mark.skip)",
    "xfail": "item.add_marker(pytest.mark.xfail(strict=False))",
    "deselect": "items.remove(item); config.hook.pytest_deselected(items=[item])",
    "hide": "items.remove(item)",
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_criterion_that_is_left_out_makes_it_inconclusive(
    shared_demo: Any, tmp_path: Path, spoil: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "spoil.py").write_text(
        "import pytest\n\n\ndef pytest_collection_modifyitems(config, items):\n"
        f"    item = next(one for one in items if 'audit' in one.nodeid)\n    {SPOILS[spoil]}\n"
    )
    done = plain_pytest(shared_demo, tmp_path, f"--gateway-url={shared_demo.url}", "-p", "spoil")
    assert done.returncode == 4, done.stdout
    said = verdict_of(tmp_path)
    assert said["verdict"] == "INCONCLUSIVE"
    assert "audit-complete" in said["irregular"][0]


def test_nothing_collected_is_inconclusive_and_an_old_verdict_is_gone(
    shared_demo: Any, tmp_path: Path
) -> None:
    (tmp_path / "gate-verdict.json").write_text('{"verdict": "GO"}')
    url = f"--gateway-url={shared_demo.url}"
    done = plain_pytest(shared_demo, tmp_path, url, "-k", "no-such-test")
    assert done.returncode == 4
    assert verdict_of(tmp_path)["verdict"] == "INCONCLUSIVE"
    (tmp_path / "gate-verdict.json").write_text('{"verdict": "GO"}')
    done = plain_pytest(shared_demo, tmp_path, url, "no-such-file.py")
    assert done.returncode == 4
    assert verdict_of(tmp_path)["verdict"] == "INCONCLUSIVE"


def test_gate_without_a_gateway_or_in_several_processes_is_refused(
    shared_demo: Any, tmp_path: Path
) -> None:
    done = plain_pytest(shared_demo, tmp_path)
    assert done.returncode not in {0, 5}
    assert "a gate needs --gateway-url" in done.stdout
    done = plain_pytest(shared_demo, tmp_path, f"--gateway-url={shared_demo.url}", "-n", "2")
    assert done.returncode == 4
    assert "run it without -n" in done.stderr
    assert not (tmp_path / "gate-verdict.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--phase", "4"), "no gate measures it"),
        (("--phase", "0", "--key", "demo"), "say with --baseline where to write it"),
        (("--key", "env:CCO_NO_SUCH_KEY"), "nothing there that could be sent"),
        (("--criteria", "nowhere.json"), "nowhere.json: No such file"),
        (("--config", "nowhere.toml"), "nowhere.toml: there is no such file"),
        (("--key", "demo", "--junit", "nowhere/gate.xml"), "there is no folder nowhere"),
    ],
)
def test_wrong_option_is_refused_before_anything_is_sent(
    shared_demo: Any, words: tuple[str, ...], said: str
) -> None:
    done = shared_demo.run("gate", "--url", shared_demo.url, *words)
    assert done.code == 8
    assert said in done.err


def written(path: Path, document: object) -> str:
    path.write_text(json.dumps(document))
    return str(path)


def approvals(folder: Path, phase: int, fingerprint: str) -> str:
    """Everything that a person has to say of a phase, said."""
    names = ("launcher-refuses", "rollback-rehearsed", "proxy-removed", "critical-bugs",
             "user-feedback", "team-approval")  # fmt: skip
    scope = f"phase-{phase}:{fingerprint}"
    now = datetime.now(UTC)
    said = {"by": "ada", "at": now.isoformat(), "expires": (now + timedelta(days=1)).isoformat()}
    rows = [json.dumps({"criterion": name, "scope": scope, **said}) for name in names]
    path = folder / f"approvals-{phase}.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def captured(demo: Any, url: str, path: Path) -> Any:
    return judged(demo, url, "--phase", "0", "--baseline", str(path), "--streams", "60", "--json")


def real_traffic(url: str, requests: int) -> None:
    """Ask as a client would."""
    body = {"model": "claude-haiku-4-5-20251001", "max_tokens": 9,
            "messages": [{"role": "user", "content": "hello"}]}  # fmt: skip
    with httpx.Client(trust_env=False, headers={"x-api-key": "demo-key"}) as client:
        for _ in range(requests):
            assert client.post(f"{url}/v1/messages", json=body).status_code == 200


@pytest.fixture(scope="module")
def baseline(shared_demo: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The times of the honest gateway."""
    path = tmp_path_factory.mktemp("baseline") / "baseline.json"
    done = captured(shared_demo, shared_demo.url, path)
    assert done.code == 0, done.out
    Draft202012Validator(resources.schema("gate-baseline")).validate(json.loads(path.read_bytes()))
    return path


@pytest.mark.parametrize("phase", [2, 3])
def test_healthy_gateway_is_go_once_real_traffic_came_between_two_runs(
    shared_demo: Any, baseline: Path, tmp_path: Path, phase: int
) -> None:
    loaded = httpx.get(f"{shared_demo.url}/health", trust_env=False).json()["config_fingerprint"]
    words = (
        "gate", "--phase", str(phase), "--json", "--every", "60", "--baseline", str(baseline),
        "--evidence", str(tmp_path / "evidence.jsonl"),
        "--criteria", written(tmp_path / "short.json", SHORT),
        "--approvals", approvals(tmp_path, phase, loaded),
    )  # fmt: skip
    first = shared_demo.run(*words)
    verdicts = {row["id"]: row["verdict"] for row in first.document["criteria"]}
    assert (first.code, verdicts["error-rate"]) == (4, "INCONCLUSIVE"), first.out
    real_traffic(shared_demo.url, 40)
    second = shared_demo.run(*words)
    assert second.code == 0, second.out
    assert len((tmp_path / "evidence.jsonl").read_bytes().splitlines()) == 7


@pytest.mark.parametrize("phase", [0, 2, 3])
def test_quiet_gateway_is_inconclusive_in_every_phase(
    shared_demo: Any, tmp_path: Path, phase: int
) -> None:
    path = tmp_path / "baseline.json"
    words = ("--baseline", str(path)) if phase == 0 else ()
    done = judged(
        shared_demo, shared_demo.url, "--phase", str(phase), "--streams", "0", "--json", *words
    )
    assert done.code == 4, done.out
    assert "NO-GO" not in {row["verdict"] for row in done.document["criteria"]}
    assert not path.exists()


@pytest.mark.parametrize("case", LATER_LIES)
def test_lie_of_a_later_phase_is_no_go_and_named(
    shared_demo: Any, lying: Callable[[str], str], baseline: Path, tmp_path: Path, case: str
) -> None:
    phase, lie, criterion, words = LATER_LIES[case]
    url = lying(lie)
    if phase == 0:
        done = captured(shared_demo, url, tmp_path / "none.json")
        assert not (tmp_path / "none.json").exists()
    else:
        strict = {"latency-ratio": {"minimum_samples": 15}, "streaming-failures": {}}
        short = {**SHORT, **EASY, **strict}
        done = judged(
            shared_demo, url, "--phase", str(phase), "--json", "--watch", "2", "--every", "1",
            "--streams", "30", "--baseline", str(baseline),
            "--criteria", written(tmp_path / "short.json", short),
        )  # fmt: skip
    assert done.code == 3, done.out
    rows = {row["id"]: row for row in done.document["criteria"]}
    assert rows[criterion]["verdict"] == "NO-GO"
    assert words in "; ".join((rows[criterion]["summary"], *rows[criterion]["notes"]))
    assert criterion in done.document["summary"]


def test_evidence_of_another_phase_is_refused(shared_demo: Any, tmp_path: Path) -> None:
    words = ("--streams", "0", "--json", "--evidence", str(tmp_path / "evidence.jsonl"))
    assert judged(shared_demo, shared_demo.url, *words).code == 4
    done = judged(shared_demo, shared_demo.url, "--phase", "2", *words)
    assert done.code == 8
    assert "begun for another gateway, phase" in done.document["error"]
