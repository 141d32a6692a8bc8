"""The baseline of phase 0, over the bundled forward proxy and over the gateway beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator

from cco_migrate import resources
from cco_migrate.world import Clock


class Ports(NamedTuple):
    """Where the parts of a demo listen."""

    upstream: int
    gateway: int
    proxy: int


@pytest.fixture
def both_paths(demo: Any) -> Ports:
    """A demo whose daemon serves the gateway and the old proxy."""
    switches = demo.config.parent / "daemon-config.json"
    switches.write_text('{"gatewayEnabled": true, "proxyEnabled": true}')
    for task in ("gateway.stop", "gateway.start"):  # the daemon reads its switches when it starts
        done = demo.run(task)
        assert done.code == 0, done.err
    # The proxy is a process of its own, which may be ready after the gateway.
    assert Clock().wait_until(lambda: record(demo)["proxy_port"] is not None, 50)
    ports = record(demo)
    told = json.loads((demo.path / ".cco-demo" / "demo.json").read_bytes())
    return Ports(told["upstream_port"], ports["gateway_port"], ports["proxy_port"])


def record(demo: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((demo.home / "daemon.pid").read_bytes())
    return found


def captured(demo: Any, ports: Ports, path: Path, streams: int) -> Any:
    return demo.run(
        "gate", "--phase", "0", "--proxy", f"http://127.0.0.1:{ports.proxy}",
        "--url", f"http://127.0.0.1:{ports.upstream}", "--key", "demo", "--home", str(demo.home),
        "--streams", str(streams), "--baseline", str(path), "--json",
    )  # fmt: skip


def test_both_paths_are_captured_and_the_gate_of_phase_2_compares_with_the_old_one(
    demo: Any, both_paths: Ports, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    done = captured(demo, both_paths, path, 51)
    assert done.code == 0, done.out
    document = json.loads(path.read_bytes())
    Draft202012Validator(resources.schema("gate-baseline")).validate(document)
    proxy = f"http://127.0.0.1:{both_paths.proxy}"
    assert (document["path"], document["proxy"]) == ("proxy", proxy)
    assert document["gateway"]["url"] == f"http://127.0.0.1:{both_paths.gateway}"
    for one in (document, document["gateway"]):
        assert (one["streams"], one["broken"]) == (51, 0)
        assert sum(stratum["n"] for stratum in one["first_token"].values()) == 51
        assert [stratum["n"] for stratum in one["throughput"].values()] == [17]
    told = " ".join(done.document["criteria"][1]["notes"])
    assert f"through {proxy}: claude-haiku-4-5-20251001, 3 at a time: " in told
    assert f"gateway http://127.0.0.1:{both_paths.gateway}: 0 of 51 streams broke" in told

    later = demo.run("gate", "--phase", "2", "--baseline", str(path), "--json")
    rows = {row["id"]: row for row in later.document["criteria"]}
    for name in ("latency-ratio", "throughput-ratio"):
        assert any(f"through {proxy}" in note for note in rows[name]["notes"])
        assert rows[name]["facts"]["ratio"] > 0


def test_proxy_that_is_away_is_no_go_and_leaves_no_baseline(
    demo: Any, both_paths: Ports, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    done = captured(demo, both_paths._replace(proxy=1), path, 6)
    assert done.code != 0
    assert not path.exists()
    assert "Connection refused" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--phase", "1", "--proxy", "http://127.0.0.1:1"), "only phase 0 measures the old path"),
        (("--phase", "0", "--proxy", "ftp://x"), "write http://HOST:PORT"),
        (("--phase", "0", "--proxy", "http://127.0.0.1:none"), "write http://HOST:PORT"),
    ],
)
def test_proxy_that_makes_no_sense_is_refused(
    folder: Any, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    whole = ("--url", "http://127.0.0.1:1", "--key", "demo", "--baseline", str(tmp_path / "b"))
    done = folder.run("gate", *whole, *words)
    assert (done.code, said in done.err) == (8, True), done.err
