"""The gates in three worlds, in process and by `cco-migrate gate`."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import httpx
import pytest
from jsonschema import Draft202012Validator

from cco_migrate import resources
from cco_migrate.gates.approvals import ATTESTED, COUNTED
from cco_migrate.gates.evidence_file import open_evidence
from cco_migrate.gates.holding import hold_gate
from cco_migrate.gates.order import GateOptions, make_order
from cco_migrate.gates.outcome import Judged, Row
from cco_migrate.verdict import Verdict
from cco_migrate.world import Files, World

LIAR = Path(__file__).with_name("lying_gateway.py")
EASY = {"stream-conformance": {"go": 0.5, "no_go": 0.5}}
SEEN = {"minimum_samples": 3, "window_s": 1}
# What days of traffic say is said in seconds, for the demo has neither.
SHORT = {
    **EASY,
    "error-rate": {"go": 0.5, "no_go": 0.5},
    "streaming-failures": {"mode": "observe"},
    "latency-average": {"mode": "observe"},
    "availability": SEEN,
    "latency-ratio": {"go": 5, "no_go": 10, "minimum_samples": 20},
    "throughput-ratio": {"go": 0.2, "no_go": 0.1, "minimum_samples": 5},
}
STRICT = {
    **SHORT, "streaming-failures": {},
    "latency-ratio": {"go": 2, "no_go": 3, "minimum_samples": 15},
    "throughput-ratio": {"go": 0.9, "no_go": 0.8, "minimum_samples": 5},
}  # fmt: skip


class Lie(NamedTuple):
    """One lie, told to the gate of a phase.

    Attributes:
        criterion: Which says NO-GO.
        words: A pattern in its sentence or notes: it names the lie.
    """

    phase: int
    lie: str
    criterion: str
    words: str


OF_ITSELF = (
    Lie(1, "config-not-loaded", "config-loaded", "worker 0 of generation 1 has 0ld0ld"),
    Lie(1, "stale-worker", "config-loaded", "1 of 3 contradict: worker 7 of .* has 0ld0ld"),
    Lie(1, "records-lost-and-doubled", "audit-complete", "3 not recorded, 3 recorded twice"),
    Lie(1, "counters-reset", "evidence-integrity", "in the same process"),
    Lie(1, "health-cached", "evidence-integrity", "health is cached: uptime grew by 0 s"),
    Lie(1, "provider-down", "gateway-healthy", "provider anthropic is down"),
    Lie(1, "usage-unbilled", "cost-accuracy", r"charges wrong, \$0\.000000 billed"),
)
OF_STREAMS = (
    Lie(1, "first-delta-dropped", "canary-intact", "characters at its beginning"),
    Lie(1, "usage-zeroed", "stream-conformance", "usage says 0 output tokens though content"),
    Lie(1, "stream-cut", "stream-conformance", "no message_stop"),
    Lie(1, "betas-dropped", "canary-intact", "betas lost: claude-code-20250219"),
    Lie(1, "tools-dropped", "canary-intact", "the tool call that was asked for did not come"),
    Lie(0, "stream-cut", "stream-conformance", "no message_stop"),
)
LATER = (
    Lie(2, "streams-of-others-break", "streaming-failures", r"requests \((100|9\d)\.\d\d%\)"),
    Lie(2, "requests-of-others-fail", "error-rate", r"requests \((100|9\d)\.\d\d%\)"),
    Lie(2, "slow", "latency-ratio", "× the baseline"),
    Lie(2, "one-at-a-time", "throughput-ratio", r"0\.\d+ × the baseline"),
    Lie(2, "record-dropped", "audit-gaps", "1 numbers without record, 0 recorded twice"),
    Lie(3, "requests-of-others-fail", "error-rate", r"requests \((100|9\d)\.\d\d%\)"),
    Lie(3, "records-lost-and-doubled", "audit-complete", "3 not recorded, 3 recorded twice"),
)
TOLD = ("nothing", *sorted({one.lie for one in (*OF_ITSELF, *OF_STREAMS, *LATER)}))


@pytest.fixture(scope="module")
def lying(shared_demo: Any) -> Iterator[Mapping[str, str]]:
    """URLs of gateways that tell one lie each, by lie."""
    with subprocess.Popen(
        [sys.executable, str(LIAR), shared_demo.url, *TOLD], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield {lie: f"http://127.0.0.1:{int(process.stdout.readline())}" for lie in TOLD}
        process.kill()


@pytest.fixture(scope="module")
def baseline(shared_demo: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The times of the honest gateway."""
    path = tmp_path_factory.mktemp("baseline") / "baseline.json"
    judged = held(shared_demo, shared_demo.url, phase=0, baseline=str(path), streams=51)
    assert judged.verdict is Verdict.GO, judged.summary
    Draft202012Validator(resources.schema("gate-baseline")).validate(json.loads(path.read_bytes()))
    return path


def held(folder: Any, url: str, **options: Any) -> Judged:
    """Hold a gate in this process, with the demo's plan and key."""
    typed = GateOptions(url, config=str(folder.config), **{"key": "demo", **options})
    world = World.real()
    try:
        return hold_gate(make_order(typed, Files()), world, wait_for_nobody)
    finally:
        world.http.close()


def wait_for_nobody(_what: str, _timeout_s: float) -> None:
    """Take what the gate says it waits for."""


def rows_of(judged: Judged) -> dict[str, Row]:
    return {row.ruling.criterion.id: row for row in judged.rows}


def verdicts_of(judged: Judged) -> dict[str, Verdict]:
    return {name: row.ruling.verdict for name, row in rows_of(judged).items()}


def named(lies: Iterable[Lie], judged: Iterable[Judged]) -> Iterator[str]:
    """Yield each lie with what the gate found, when that is anything but the lie."""
    for lie, found in zip(lies, judged, strict=True):
        row = rows_of(found)[lie.criterion]
        caught = (found.verdict, row.ruling.verdict) == (Verdict.NO_GO, Verdict.NO_GO)
        if not (caught and lie.criterion in found.summary and re.search(lie.words, row.text)):
            yield f"{lie}: {found.summary}; {row.ruling.verdict}: {row.text}"


def steady_of(baseline: Path, *, first_token_s: float, streams_per_s: float) -> dict[str, Any]:
    """A baseline of this pace, however busy the machine was when it was captured."""
    found: dict[str, Any] = json.loads(baseline.read_bytes())
    pace = {"first_token": first_token_s, "throughput": streams_per_s}
    return found | {
        name: {key: {"n": 200, "mean": math.log(mean), "squares": 0.1} for key in found[name]}
        for name, mean in pace.items()
    }


def written(path: Path, document: object) -> str:
    path.write_text(json.dumps(document))
    return str(path)


def test_demo_needs_no_options_and_is_go_with_every_file_written(
    shared_demo: Any, tmp_path: Path
) -> None:
    files = {name: tmp_path / f"gate.{name}" for name in ("junit", "markdown")}
    summary = tmp_path / "step"
    summary.write_text("# before\n")
    done = shared_demo.run(
        "gate", "--json",
        *(word for name, path in files.items() for word in (f"--{name}", str(path))),
        env={"GITHUB_STEP_SUMMARY": str(summary)},
    )  # fmt: skip
    assert done.code == 0, done.out
    assert done.document["verdict"] == "GO"
    assert [row["verdict"] for row in done.document["criteria"]] == ["GO"] * 7
    suite = ET.fromstring(files["junit"].read_bytes())[0]  # our own file
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("7", "0", "0")
    assert files["markdown"].read_text().startswith("## GO: gate of phase 1")
    assert summary.read_text() == "# before\n" + files["markdown"].read_text()


def test_gateway_behind_another_that_tells_no_lie_is_go(
    shared_demo: Any, lying: Mapping[str, str], tmp_path: Path
) -> None:
    easy = written(tmp_path / "easy.json", EASY)
    judged = held(shared_demo, lying["nothing"], criteria=easy)
    assert judged.verdict is Verdict.GO, judged.summary


@pytest.mark.parametrize("lies", [OF_ITSELF, OF_STREAMS, LATER], ids=["itself", "streams", "later"])
def test_every_lie_is_no_go_and_named(
    shared_demo: Any,
    lying: Mapping[str, str],
    baseline: Path,
    tmp_path: Path,
    lies: tuple[Lie, ...],
) -> None:
    strict = written(tmp_path / "strict.json", STRICT)
    easy = written(tmp_path / "easy.json", EASY)
    captured = str(tmp_path / "none.json")
    # A tenth of what a slow lie takes, and more than one at a time gets done.
    steady = written(
        tmp_path / "steady.json", steady_of(baseline, first_token_s=0.03, streams_per_s=30)
    )
    of_phase: Mapping[int, Mapping[str, Any]] = {
        0: {"criteria": easy, "streams": 12, "baseline": captured},
        1: {"criteria": easy},
        2: {"criteria": strict, "streams": 16, "watch": 2, "every": 1, "baseline": steady},
    }

    def judged(one: Lie) -> Judged:
        options = of_phase[min(one.phase, 2)]
        return held(shared_demo, lying[one.lie], phase=one.phase, **options)

    with ThreadPoolExecutor(len(lies)) as pool:  # gates wait more than they work
        assert not list(named(lies, pool.map(judged, lies)))
    assert not Path(captured).exists()


def test_quiet_gateway_is_inconclusive_in_every_phase_and_nothing_is_no_go(
    shared_demo: Any, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"

    def quiet(phase: int) -> Judged:
        options = {"baseline": str(path)} if phase == 0 else {}
        return held(shared_demo, shared_demo.url, phase=phase, streams=0, **options)

    with ThreadPoolExecutor(4) as pool:
        for judged in pool.map(quiet, (0, 1, 2, 3)):
            assert judged.verdict is Verdict.INCONCLUSIVE, judged.summary
            assert Verdict.NO_GO not in verdicts_of(judged).values()
    assert not path.exists()


def test_a_few_streams_decide_nothing(shared_demo: Any) -> None:
    judged = held(shared_demo, shared_demo.url, streams=5)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert verdicts_of(judged)["stream-conformance"] is Verdict.INCONCLUSIVE
    assert Verdict.NO_GO not in verdicts_of(judged).values()


def test_dead_gateway_is_inconclusive_and_says_that_nobody_answers(shared_demo: Any) -> None:
    judged = held(shared_demo, "http://127.0.0.1:1")
    assert judged.verdict is Verdict.INCONCLUSIVE
    said = " ".join(row.text for row in judged.rows)
    assert "http://127.0.0.1:1/health does not answer" in said
    assert "so nothing was sent" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--key", "env:CCO_NO_SUCH_KEY"), "nothing there that could be sent"),
        (("--key", "demo", "--junit", "nowhere/gate.xml"), "there is no folder nowhere"),
    ],
)
def test_wrong_option_is_refused_before_anything_is_sent(
    shared_demo: Any, words: tuple[str, ...], said: str
) -> None:
    done = shared_demo.run("gate", "--url", shared_demo.url, *words)
    assert done.code == 8
    assert said in done.err


def test_evidence_of_another_phase_is_refused(shared_demo: Any, tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    typed = GateOptions(shared_demo.url, streams=0, evidence=str(path))
    open_evidence(make_order(typed, Files()), World.real())
    done = shared_demo.run("gate", "--phase", "2", "--streams", "0", "--evidence", str(path))
    assert done.code == 8
    assert "begun for another gateway, phase" in done.err


def loaded(folder: Any) -> str:
    """The fingerprint that the demo serves."""
    told: str = httpx.get(f"{folder.url}/health", trust_env=False).json()["config_fingerprint"]
    return told


def real_traffic(url: str, requests: int) -> None:
    """Ask as a client would."""
    body = {"model": "claude-haiku-4-5-20251001", "max_tokens": 9,
            "messages": [{"role": "user", "content": "hello"}]}  # fmt: skip
    with httpx.Client(trust_env=False, headers={"x-api-key": "demo-key"}) as client:
        for _ in range(requests):
            assert client.post(f"{url}/v1/messages", json=body).status_code == 200


def approved(phase: int, fingerprint: str) -> str:
    """Everything that a person has to say of a phase, said a moment ago, a line each."""
    said = {"by": "ada", "scope": f"phase-{phase}:{fingerprint}"}
    now = datetime.now(UTC)
    said |= {"at": now.isoformat(), "expires": (now + timedelta(days=1)).isoformat()}
    return "".join(
        json.dumps(
            {"criterion": name, **said, **({"count": 0, "of": 9} if name in COUNTED else {})}
        )
        + "\n"
        for name in ATTESTED
    )


@pytest.mark.parametrize("phase", [2, 3])
def test_healthy_gateway_is_go_once_real_traffic_came_between_two_runs(
    shared_demo: Any, baseline: Path, tmp_path: Path, phase: int
) -> None:
    (tmp_path / "approvals.jsonl").write_text(approved(phase, loaded(shared_demo)))
    patient = steady_of(baseline, first_token_s=10, streams_per_s=0.1)
    options: dict[str, Any] = {
        "phase": phase, "every": 60, "baseline": written(tmp_path / "patient.json", patient),
        "evidence": str(tmp_path / "evidence.jsonl"), "home": str(shared_demo.home),
        "criteria": written(tmp_path / "short.json", SHORT),
        "approvals": str(tmp_path / "approvals.jsonl"),
    }  # fmt: skip
    first = held(shared_demo, shared_demo.url, **options)
    assert first.verdict is Verdict.INCONCLUSIVE, first.summary
    assert verdicts_of(first)["error-rate"] is Verdict.INCONCLUSIVE
    real_traffic(shared_demo.url, 40)
    second = held(shared_demo, shared_demo.url, **options)
    assert second.verdict is Verdict.GO, second.summary
    assert len((tmp_path / "evidence.jsonl").read_bytes().splitlines()) == 7


@pytest.mark.parametrize("elsewhere", [True, False], ids=["a file", "the state root"])
def test_word_that_was_typed_is_go_of_its_criterion(
    shared_demo: Any, tmp_path: Path, elsewhere: bool
) -> None:
    loads, path = loaded(shared_demo), str(tmp_path / "approvals.jsonl")
    home = ("--home", str(tmp_path))
    typed = shared_demo.run(
        "approve", "--gate", "team-approval", "--by", "Ada", "--scope", f"phase-3:{loads}",
        "--expires", "24h", *home, *(("--out", path) if elsewhere else ()),
    )  # fmt: skip
    assert typed.code == 0, typed.err
    done = shared_demo.run(
        "gate", "--phase", "3", "--streams", "0", "--url", shared_demo.url, "--fingerprint", loads,
        *home, *(("--approvals", path) if elsewhere else ()), "--json",
    )  # fmt: skip
    rows = {row["id"]: row for row in done.document["criteria"]}
    assert rows["team-approval"]["verdict"] == "GO"
    assert "approved by Ada" in rows["team-approval"]["summary"]
    assert rows["user-feedback"]["verdict"] == "INCONCLUSIVE"
