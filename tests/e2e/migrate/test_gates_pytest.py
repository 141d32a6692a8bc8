"""The gates by plain pytest: the same verdict as by command, and none for half a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

LIAR = Path(__file__).with_name("lying_gateway.py")
ROOT = Path(__file__).parents[3]
EASY = {"stream-conformance": {"go": 0.5, "no_go": 0.5}}


@pytest.fixture
def health_cached(shared_demo: Any) -> Iterator[str]:
    """URL of a gateway whose health is an old answer."""
    with subprocess.Popen(
        [sys.executable, str(LIAR), shared_demo.url, "health-cached"],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def key(folder: Any) -> Path:
    path: Path = folder.path / "key"
    path.write_text("demo-key")
    return path


def plain_pytest(folder: Any, tmp_path: Path, *words: str) -> Any:
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
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip


def verdict_of(folder: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((folder / "gate-verdict.json").read_text())
    return parsed


def test_plain_pytest_says_the_same(shared_demo: Any, health_cached: str, tmp_path: Path) -> None:
    url, junit = health_cached, tmp_path / "gate.xml"
    plain = plain_pytest(shared_demo, tmp_path, f"--gateway-url={url}")
    assert plain.returncode == 3, plain.stdout
    assert f"NO-GO  phase 1, {url}: " in plain.stdout
    ours = shared_demo.run(
        "gate", "--url", url, "--config", str(shared_demo.config),
        "--key", f"file:{key(shared_demo)}", "--json", "--junit", str(junit),
        "--criteria", str(tmp_path / "easy.json"),
    )  # fmt: skip
    assert ours.code == 3
    said = verdict_of(tmp_path)
    assert said["verdict"] == ours.document["verdict"]
    assert [(row["id"], row["verdict"]) for row in said["criteria"]] == [
        (row["id"], row["verdict"]) for row in ours.document["criteria"]
    ]
    cases = ET.fromstring(junit.read_bytes()).iter("testcase")  # our own file
    failed = {case.get("name") for case in cases if case.find("failure") is not None}
    assert failed == {"evidence-integrity"}


SPOILS = {
    "audit-complete was skipped": "mark('audit', pytest.mark.skip)",
    "cost-accuracy was expected to fail": "mark('cost', pytest.mark.xfail(strict=False))",
    "canary-intact was deselected": "config.hook.pytest_deselected(items=[take('canary')])",
    "gateway-healthy was not executed": "take('healthy')",
}
SPOILER = """import pytest


def pytest_collection_modifyitems(config, items):
    def found(name):
        return next(one for one in items if name in one.nodeid)

    def mark(name, marker):
        found(name).add_marker(marker)

    def take(name):
        items.remove(item := found(name))
        return item

"""


def test_criteria_that_are_left_out_make_it_inconclusive(shared_demo: Any, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    spoiler = SPOILER + "".join(f"    {line}\n" for line in SPOILS.values())
    (tmp_path / "site" / "spoil.py").write_text(spoiler)
    done = plain_pytest(shared_demo, tmp_path, f"--gateway-url={shared_demo.url}", "-p", "spoil")
    assert done.returncode == 4, done.stdout
    said = verdict_of(tmp_path)
    assert said["verdict"] == "INCONCLUSIVE"
    assert {row["verdict"] for row in said["criteria"]} == {"GO"}
    assert set(SPOILS) <= set(said["irregular"])


def test_nothing_collected_is_inconclusive_and_an_old_verdict_is_gone(
    shared_demo: Any, tmp_path: Path
) -> None:
    for words in (("-k", "no-such-test"), ("no-such-file.py",)):
        (tmp_path / "gate-verdict.json").write_text('{"verdict": "GO"}')
        done = plain_pytest(shared_demo, tmp_path, f"--gateway-url={shared_demo.url}", *words)
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
