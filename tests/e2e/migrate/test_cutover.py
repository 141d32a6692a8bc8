"""The gateway cutover on real processes: with clients meanwhile, back by flag, and against lies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

PHASE_1 = ("migrate", "--kind", "gateway-cutover", "--phase", "1", "--yes")
PHASE_2 = ("migrate", "--kind", "gateway-cutover", "--phase", "2", "--yes")
GATE = ("gate", "judged")
LONG_S = 240.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def record(folder: Any) -> tuple[object, object]:
    row = json.loads((folder.home / "daemon.pid").read_bytes())
    return row["gateway_port"], row["proxy_port"]


def switches(folder: Any) -> Any:
    return json.loads((folder.config.parent / "daemon-config.json").read_bytes())


def run_id(folder: Any, *, phase_1: str) -> str:
    (other,) = {one.name for one in (folder.home / "migrate" / "runs").iterdir()} - {phase_1}
    return str(other)


def verdicts(folder: Any, run: str = "") -> dict[str, str]:
    judged = (line for line in folder.journal(run) if line["event"] == "judged")
    return {line["step"]: line["data"]["evidence"]["verdict"] for line in judged}


def criteria(folder: Any) -> dict[str, dict[str, Any]]:
    """What the gate of phase 2 said last, by criterion."""
    held = [line for line in folder.journal() if (line["step"], line["event"]) == GATE]
    return {row["id"]: row for row in held[-1]["data"]["evidence"]["criteria"]}


def test_cutover_and_its_way_back_break_no_stream_of_a_live_client(
    folder: Any, live_client: Any
) -> None:
    validated = folder.run(*PHASE_1, "--json", timeout_s=LONG_S)
    assert validated.code == 0, validated.err
    before = folder.tree()
    gateway, proxy = record(folder)
    assert (gateway, type(proxy)) == (None, int)

    with live_client(folder.url) as client:
        until(lambda: client.whole > 0)
        done = folder.run(*PHASE_2, timeout_s=LONG_S)
        assert done.code == 0, done.err
        assert f"GO on these files in run {validated.document['run']}" in done.err
        assert switches(folder) == {"gatewayEnabled": True, "proxyEnabled": False}
        port = urlsplit(folder.url).port
        assert record(folder) == (port, None)
        assert folder.run("report.verify").code == 0
        again = folder.run(*PHASE_2, timeout_s=LONG_S)
        assert again.out.startswith("UNCHANGED"), again.err
        seen = client.whole
        back = folder.run("rollback", "--yes", timeout_s=LONG_S)
        assert back.code == 0, back.err
        until(lambda: client.whole > seen)

    assert client.faults == []
    assert "gatewayEnabled: false, proxyEnabled: true proved" in back.out
    after = folder.tree()
    assert {name: after[name] for name in before} == before
    assert record(folder)[0] is None
    proved = {"proof", "routes", "launcher", "gate", "back-proof", "back-routes", "back-launcher"}
    cut_over = run_id(folder, phase_1=validated.document["run"])
    found = verdicts(folder, cut_over)
    assert {found[step] for step in proved} == {"GO"}
    assert "validated" not in found


def test_switches_that_the_daemon_has_not_loaded_are_no_go_and_taken_back(folder: Any) -> None:
    """The restart command lies: it succeeds and restarts nothing."""
    assert folder.run("demo.up").code == 0
    path = folder.config.parent / "daemon-config.json"
    path.write_bytes(b'{"gatewayEnabled": false, "proxyEnabled": true, "logLevel": "info"}\n')
    assert folder.run("gateway.reload").code == 0
    before = path.read_bytes()
    until(lambda: record(folder)[1] is not None)
    done = folder.run(
        *PHASE_2, "--home", str(folder.home), "--url", folder.url, "--key", "env:A_KEY",
        "--driver", "command", "--restart", "true", "--json", "--waive", "rollback-rehearsed",
        env={"A_KEY": "any"}, timeout_s=LONG_S,
    )  # fmt: skip
    assert done.code == 6, done.err
    assert verdicts(folder)["proof"] == "NO-GO"
    assert "gate" not in verdicts(folder)
    assert path.read_bytes() == before
    assert record(folder)[0] is None


def test_cutover_of_an_absent_file_creates_it_and_its_undo_removes_it(folder: Any) -> None:
    """A deployment without days of traffic: applied, open for evidence, then taken back."""
    assert folder.run("demo.up").code == 0
    path = folder.config.parent / "daemon-config.json"
    assert not path.exists()
    own = ("--home", str(folder.home), "--url", folder.url)
    wanted = (*PHASE_2, "--standby", *own, "--key", "env:A_KEY")
    refused = folder.run(*wanted, env={"A_KEY": "any"}, timeout_s=LONG_S)
    assert (refused.code, path.exists()) == (8, False), refused.err
    assert "never rehearsed" in refused.err
    assert "rollback.rehearse" in refused.err
    done = folder.run(
        *wanted, "--waive", "rollback-rehearsed", env={"A_KEY": "any"}, timeout_s=LONG_S
    )
    assert done.code == 4, done.err
    assert switches(folder) == {"gatewayEnabled": True, "proxyEnabled": True}
    port = urlsplit(folder.url).port
    assert record(folder)[0] == port
    assert type(record(folder)[1]) is int
    judged = criteria(folder)
    assert judged["sole-route"]["enforced"] is False
    assert judged["team-approval"]["verdict"] == "INCONCLUSIVE"
    other = folder.run("migrate", "--kind", "gateway-cutover", "--phase", "1", *own, "--yes")
    assert (other.code, "it is about phase 2" in other.err) == (8, True)

    run = next((folder.home / "migrate" / "runs").iterdir())
    scope = judged["team-approval"]["summary"].rpartition("scope ")[2]
    word = ("--gate", "team-approval", "--by", "Ann", "--scope", scope, "--expires", "7d")
    said = folder.run("approve", *own[:2], *word, "--out", str(run / "approvals.jsonl"))
    assert said.code == 0, said.err
    again = folder.run("migrate", *own, "--yes", env={"A_KEY": "any"}, timeout_s=LONG_S)
    assert (again.code, "goes on where it stopped" in again.err) == (4, True), again.err
    assert criteria(folder)["team-approval"]["verdict"] == "GO"

    back = folder.run("rollback", "--yes", "--home", str(folder.home), timeout_s=LONG_S)
    assert back.code == 0, back.err
    assert not path.exists()
    assert record(folder) == (port, None)
