"""Which gateway a command is about: the demo, or exactly what the operator named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from cco_migrate.errors import InvalidInput
from cco_migrate.model import DriverSpec
from cco_migrate.target import Target, home_of, instance_of, refuse_missing_home
from cco_migrate.world import World


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory, with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return tmp_path


@pytest.mark.parametrize(
    ("target", "environment", "demo"),
    [
        (Target(), {}, True),
        (Target(), {"CCO_HOME": ""}, True),
        (Target(), {"CCO_HOME": "/srv"}, False),
        (Target(home="h"), {}, False),
        (Target(config="c"), {}, False),
        (Target(url="u"), {}, False),
        (Target(driver="process"), {}, False),
        (Target(restart="systemctl restart cco"), {}, False),
        (Target(stop="a", start="b"), {}, False),
        (Target(log="cco.log"), {}, False),
    ],
)
def test_demo_is_meant_only_when_nothing_is_named(
    target: Target, environment: Mapping[str, str], demo: bool
) -> None:
    assert target.is_demo(environment) is demo


@pytest.mark.parametrize(
    ("target", "environment", "home"),
    [
        (Target(), {}, ".cco-demo/home"),
        (Target(home="mine"), {"CCO_HOME": "/elsewhere"}, "mine"),
        (Target(url="u"), {"CCO_HOME": "from-environment"}, "from-environment"),
        (Target(url="u"), {}, "user/.cco"),
        (Target(home="~/mine"), {}, "user/mine"),
    ],
)
def test_home_is_the_option_then_the_environment_then_the_default(
    target: Target,
    environment: Mapping[str, str],
    home: str,
    elsewhere: Path,
    world: World,
) -> None:
    assert home_of(target, environment, world) == (elsewhere / home).resolve()


@pytest.mark.parametrize(
    ("target", "environment", "said"),
    [
        (Target(home="slip"), {}, "--home slip: there is no such folder"),
        (Target(home="file"), {}, "--home file: there is no such folder"),
        (Target(home="slip"), {"CCO_HOME": "mine"}, "--home slip: there is no such folder"),
        (Target(url="u"), {"CCO_HOME": "slip"}, "$CCO_HOME slip: there is no such folder"),
    ],
)
def test_state_root_that_is_not_there_is_refused(
    target: Target, environment: Mapping[str, str], said: str, elsewhere: Path
) -> None:
    (elsewhere / "mine").mkdir()
    (elsewhere / "file").touch()
    with pytest.raises(InvalidInput) as refused:
        refuse_missing_home(target, environment)
    assert (str(refused.value), refused.value.state) == (said, "Nothing was changed.")


@pytest.mark.parametrize(
    ("target", "environment"),
    [
        (Target(), {}),
        (Target(url="u"), {}),  # the default may be a new one
        (Target(home="mine"), {"CCO_HOME": "slip"}),
        (Target(), {"CCO_HOME": "mine"}),
        (Target(home="~/.cco"), {}),
    ],
)
def test_state_root_that_is_there_is_taken(
    target: Target, environment: Mapping[str, str], elsewhere: Path
) -> None:
    (elsewhere / "mine").mkdir()
    (elsewhere / "user" / ".cco").mkdir(parents=True)
    refuse_missing_home(target, environment)


def test_demo_whose_record_is_damaged_is_told_with_its_file(elsewhere: Path, world: World) -> None:
    record = elsewhere / ".cco-demo" / "demo.json"
    record.parent.mkdir()
    record.write_text("{")
    with pytest.raises(InvalidInput, match=str(record)) as refused:
        instance_of(Target(), {}, world)
    assert refused.value.next_command == f"rm -r {record.parent}, then: invoke demo.up"


def test_defaults_fill_what_was_not_named(elsewhere: Path, world: World) -> None:
    found = instance_of(Target(home="mine"), {}, world)
    home = elsewhere.resolve() / "mine"
    assert (found.name, found.url) == ("127.0.0.1:3000", "http://127.0.0.1:3000")
    assert (found.home, found.config) == (home, home / "config" / "model-overrides.toml")
    assert (found.driver, found.log, found.demo) == (
        DriverSpec("process"), home / "daemon.log", False,
    )  # fmt: skip


def test_everything_named_is_taken(elsewhere: Path, world: World) -> None:
    target = Target(
        config="c/overrides.toml", url="localhost:8080", stop="a b", start="c d", log="x.log"
    )
    found = instance_of(target, {"CCO_HOME": "h"}, world)
    root = elsewhere.resolve()
    assert (found.name, found.url) == ("localhost:8080", "http://localhost:8080")
    assert (found.home, found.config) == (root / "h", root / "c" / "overrides.toml")
    assert found.driver == DriverSpec("command", "a b", "c d", "")
    assert found.log == root / "x.log"


def test_foreign_gateway_has_no_log_unless_named(world: World) -> None:
    assert instance_of(Target(home="h", restart="r"), {}, world).log is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://127.0.0.1:3000/", "http://127.0.0.1:3000"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://gateway.example", "http://gateway.example:80"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_url_is_brought_to_one_form(text: str, url: str, world: World) -> None:
    assert instance_of(Target(home="h", url=text), {}, world).url == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://127.0.0.1:3000/v1", "leave out /v1; the base URL has no path"),
        ("http://127.0.0.1:0", "port 0 means the gateway has not told its port yet"),
        ("http://127.0.0.1:99999", "--url http://127.0.0.1:99999: Port out of range"),
        ("http://127.0.0.1:abc", "--url http://127.0.0.1:abc: Port could not be cast"),
        ("https://gateway.example", "write http://HOST:PORT"),
        ("unix:///run/cco.sock", "write http://HOST:PORT"),
        ("http://", "write http://HOST:PORT"),
        ("http://:3000", "write http://HOST:PORT"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://user:secret@127.0.0.1:3000", "write http://HOST:PORT"),
        ("http://127.0.0.1:3000?a=b", "write http://HOST:PORT"),
        ("http://127.0.0.1:3000#x", "write http://HOST:PORT"),
    ],
)
def test_url_that_makes_no_sense_is_refused(text: str, said: str, world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        instance_of(Target(home="h", url=text), {}, world)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target(driver="docker"), "--driver docker: unknown; there is: process, command"),
        (Target(driver="process", restart="r"), "belong to --driver command"),
        (Target(driver="command"), "needs --stop and --start, or --restart"),
        (Target(driver="command", stop="s"), "needs --stop and --start, or --restart"),
        (Target(start="s"), "needs --stop and --start, or --restart"),
        (Target(stop="a", start="b", restart="c"), "either --restart, or --stop and --start"),
        (Target(start="b", restart="c"), "either --restart, or --stop and --start"),
        (Target(stop='"open', start="b"), "--stop '\"open': No closing quotation"),
        (Target(restart="  "), "--restart is empty"),
    ],
)
def test_driver_and_commands_that_contradict_are_refused(
    target: Target, said: str, world: World
) -> None:
    with pytest.raises(InvalidInput) as refused:
        instance_of(target, {"CCO_HOME": "h"}, world)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (json.dumps({"pid": 1, "port": 4000, "gateway_port": 4711}), "http://127.0.0.1:4711"),
        (json.dumps({"pid": 1, "port": 4000, "gateway_port": None}), "http://127.0.0.1:4000"),
        ('{"pid": 1, "gateway_p', "http://127.0.0.1:3000"),
        ("[]", "http://127.0.0.1:3000"),
        ("", "http://127.0.0.1:3000"),
    ],
    ids=["written", "starting", "torn", "another shape", "empty"],
)
def test_port_of_the_pid_file_is_used_when_no_url_is_named(
    text: str, url: str, elsewhere: Path, world: World
) -> None:
    (elsewhere / "h").mkdir()
    (elsewhere / "h" / "daemon.pid").write_text(text)
    assert instance_of(Target(home="h"), {}, world).url == url
    assert instance_of(Target(home="h", url="h:1"), {}, world).url == "http://h:1"


def test_recorded_port_0_is_a_gateway_that_is_starting(elsewhere: Path, world: World) -> None:
    (elsewhere / "h").mkdir()
    (elsewhere / "h" / "daemon.pid").write_text('{"pid": 1, "gateway_port": 0}')
    with pytest.raises(InvalidInput, match="has not told its port yet"):
        instance_of(Target(home="h"), {}, world)


def test_demo_that_was_not_created_is_refused_with_the_next_command(world: World) -> None:
    with pytest.raises(InvalidInput, match="there is no demo deployment here") as refused:
        instance_of(Target(), {}, world)
    assert "invoke migrate" in (refused.value.next_command or "")


def test_demo_is_taken_when_it_exists(elsewhere: Path, world: World) -> None:
    (elsewhere / ".cco-demo").mkdir()
    (elsewhere / ".cco-demo" / "demo.json").write_text('{"gateway_port": 1, "upstream_port": 2}')
    found = instance_of(Target(), {}, world)
    assert (found.name, found.demo, found.url) == ("demo", True, "http://127.0.0.1:1")
    assert found.home == elsewhere.resolve() / ".cco-demo" / "home"
