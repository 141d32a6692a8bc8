"""A plugin of pytest that turns a run of the gate's tests into a verdict.

It does nothing at all unless `--gateway-url` is given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.errors import ToolkitError
from cco_migrate.gates.evidence_file import require_same
from cco_migrate.gates.evidence_lock import require_free
from cco_migrate.gates.holding import hold_gate
from cco_migrate.gates.order import GateOptions, Order, make_order
from cco_migrate.gates.outcome import Judged, Outcome, Row, conclude, to_json
from cco_migrate.gates.rendering import document_lines, junit, markdown
from cco_migrate.verdict import Verdict
from cco_migrate.world import World

DEFAULT_VERDICT = "gate-verdict.json"

_HELP = {
    "url": "base URL of the gateway to judge; without it no gate is run",
    "phase": "which phase of the cutover is judged",
    "config": "the planned model-overrides.toml, the other files beside it",
    "fingerprint": "of the planned configuration, in place of the files",
    "key": "verification credential: env:NAME, file:PATH, or demo",
    "model": "model of the verification requests",
    "streams": "how many verification streams are sent at most; 0 sends nothing",
    "criteria": "JSON file that changes criteria",
    "evidence": "file that keeps samples, so that a later run goes on with them",
    "baseline": "times of the old path: phase 0 writes this file, later phases read it",
    "approvals": "what people say of criteria, one JSON object a line",
    "watch": "seconds to look at real traffic before anything is sent; 0 looks once",
    "every": "seconds between two looks",
    "home": "the gateway's state root, where it is on this machine",
    "systems": "URLs of the fleet's other gateways, separated by commas",
    "proxy": "the old HTTP proxy, through which phase 0 asks the URL",
    "beside": "URL of the gateway that phase 0 measures beside the old path",
}
_OUTPUTS = {
    "verdict": "write the verdict as JSON to this file",
    "junit": "write the verdict as JUnit XML to this file",
    "markdown": "write the verdict as Markdown to this file",
}
_RUN = pytest.StashKey["GateRun"]()


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the verdict is written; None for nowhere."""

    verdict: Path
    junit: Path | None
    markdown: Path | None
    step_summary: Path | None

    def clear(self) -> None:
        """Remove what an earlier gate wrote: a run that dies must not leave its verdict behind.

        Raises:
            OSError: A file could not be written later on.
        """
        for path in (self.verdict, self.junit, self.markdown):
            if path is not None:
                path.touch()
                if path.is_file():  # never a device such as /dev/stdout
                    path.unlink()

    def write(self, outcome: Outcome) -> None:
        """Write the outcome; the verdict itself last."""
        if self.junit is not None:
            self.junit.write_bytes(junit(outcome))
        if self.markdown is not None:
            self.markdown.write_text(markdown(outcome), encoding="utf-8")
        if self.step_summary is not None:
            with self.step_summary.open("a", encoding="utf-8") as file:
                file.write(markdown(outcome))
        document = json.dumps(to_json(outcome), indent=2, ensure_ascii=False)
        self.verdict.write_text(document + "\n", encoding="utf-8")


class GateRun:
    """One run of a gate: measures when the first criterion asks, and watches how tests end."""

    def __init__(self, order: Order, outputs: Outputs) -> None:
        self.order = order
        self._outputs = outputs
        self._judged: Judged | None = None
        self._failure: Exception | None = None
        self._names: dict[str, str] = {}
        self._executed: set[str] = set()
        self._irregular: list[str] = []
        self._outcome: Outcome | None = None

    def row(self, criterion_id: str) -> Row:
        """Return what was found of a criterion; the first call measures all of them, once."""
        if self._failure is not None:
            raise self._failure
        if self._judged is None:
            try:
                self._judged = self._measured()
            except Exception as error:
                # Kept, for the next criterion must not measure again until it comes out well.
                self._failure = error
                self._irregular.append(f"the measurement failed: {error!r}")
                raise
        return next(row for row in self._judged.rows if row.ruling.criterion.id == criterion_id)

    @pytest.hookimpl(tryfirst=True)  # before anybody deselects
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember which test asks which criterion."""
        for item in items:
            call = getattr(item, "callspec", None)
            if call is not None and "criterion_id" in call.params:
                self._names[item.nodeid] = call.params["criterion_id"]

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what was left out."""
        for item in items:
            if item.nodeid in self._names:
                self._irregular.append(f"{self._names[item.nodeid]} was deselected")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended: only one that passed or failed was executed."""
        name = self._names.get(report.nodeid)
        if name is None:
            return
        if hasattr(report, "wasxfail"):
            self._irregular.append(f"{name} was expected to fail")
        elif report.skipped:
            self._irregular.append(f"{name} was skipped")
        elif report.when == "call" or (report.when == "setup" and report.failed):
            self._executed.add(name)

    @pytest.hookimpl(tryfirst=True)  # the terminal tells what was found afterwards
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the verdict, and end with its code unless the run was stopped or broke down."""
        self._outcome = conclude(self.order, self._judged, self._executed, self._irregular)
        self._outputs.write(self._outcome)
        broken = exitstatus in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR}
        if not broken and (self._outcome.code or exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = self._outcome.code

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # Any: not a public class
        """Say the verdict where pytest says its own."""
        if self._outcome is not None:
            terminalreporter.section("gate")
            for line in document_lines(to_json(self._outcome)):
                terminalreporter.write_line(line)

    def _measured(self) -> Judged:
        world = World.real()
        try:
            return hold_gate(self.order, world, _say_nothing)
        finally:
            world.http.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("cco-gates", "go/no-go gates of cco-migrate")
    for one in fields(GateOptions):
        default = "" if one.name == "url" else one.default
        group.addoption(
            f"--gateway-{one.name}", default=default, type=type(default), help=_HELP[one.name]
        )
    for name, text in _OUTPUTS.items():
        default = DEFAULT_VERDICT if name == "verdict" else ""
        group.addoption(f"--gate-{name}", default=default, metavar="FILE", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Begin a gate when a gateway is named; a wrong option ends the run before anything is sent."""
    values = {one.name: config.getoption(f"gateway_{one.name}") for one in fields(GateOptions)}
    if not values["url"]:
        return
    if getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("a gate is measured once, in one process: run it without -n")
    try:
        files = World.real().files
        order = make_order(GateOptions(**values), files)
        require_same(order, files)
        require_free(order.evidence)
    except ToolkitError as error:
        raise pytest.UsageError(str(error)) from error
    outputs = _outputs(config)
    try:
        outputs.clear()
    except OSError as error:
        raise pytest.UsageError(f"{error.filename}: {error.strerror}") from error
    run = config.stash[_RUN] = GateRun(order, outputs)
    config.pluginmanager.register(run, "cco-gate-run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each criterion of the gate."""
    if "criterion_id" not in metafunc.fixturenames or not _ours(metafunc):
        return
    run = metafunc.config.stash.get(_RUN, None)
    if run is None:
        raise pytest.UsageError("a gate needs --gateway-url")
    metafunc.parametrize("criterion_id", [one.id for one in run.order.criteria])


@pytest.fixture
def finding(criterion_id: str, pytestconfig: pytest.Config) -> Row:
    """What was found of a criterion; too little of it is an error of the test, not a failure."""
    row = pytestconfig.stash[_RUN].row(criterion_id)
    ruling = row.ruling
    if ruling.enforced and ruling.in_the_way and ruling.verdict is Verdict.INCONCLUSIVE:
        pytest.fail(f"{ruling.verdict}  {row.text}", pytrace=False)
    return row


def _say_nothing(_what: str, _timeout_s: float) -> None:
    """Pytest has the terminal; a command in whose name it runs tells what is awaited."""


def _ours(metafunc: pytest.Metafunc) -> bool:
    return metafunc.definition.path.parent == Path(__file__).parent


def _outputs(config: pytest.Config) -> Outputs:
    given = {name: config.getoption(f"gate_{name}") for name in _OUTPUTS}
    here = config.invocation_params.dir
    paths = {name: here / path if path else None for name, path in given.items()}
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    return Outputs(
        here / (given["verdict"] or DEFAULT_VERDICT),
        paths["junit"],
        paths["markdown"],
        Path(summary) if summary else None,
    )
