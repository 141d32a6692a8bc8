"""The hooks of `migrate.toml`: read without showing a secret, or refused with place and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from cco_migrate import resources
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.hooks.definitions import POINTS, Kind, Point, load, secret_of
from cco_migrate.hooks.delivery import DELIVERIES
from cco_migrate.world import World

SECRET = "do-not-write-me-down"


def written(path: Path, text: str) -> Path:
    path.mkdir(exist_ok=True)
    (path / "migrate.toml").write_text(text)
    return path


GOOD = """
[[hooks.command]]
on = ["rollback", "finished"]
run = ["/usr/local/bin/page", "--team", "gateway"]
timeout_s = 2

[[hooks.webhook]]
on = ["gate"]
url = "https://chat.example.org/hooks/do-not-write-me-down"
secret = "env:HOOK_SECRET"

[[hooks.apprise]]
on = ["finished"]
url = "file:~/.secrets/apprise"
"""


def test_file_is_read_into_hooks_that_show_no_secret(tmp_path: Path, world: World) -> None:
    command, webhook, apprise = load(written(tmp_path, GOOD), world)
    assert command.run == ("/usr/local/bin/page", "--team", "gateway")
    assert command.on == frozenset({Point.ROLLBACK, Point.FINISHED})
    assert command.timeout_s == 2
    assert (webhook.secret, webhook.timeout_s) == ("env:HOOK_SECRET", 5)
    assert [hook.name for hook in (command, webhook, apprise)] == [
        "command page", "webhook chat.example.org", "apprise file:~/.secrets/apprise",
    ]  # fmt: skip
    assert SECRET not in repr(webhook)


@pytest.mark.parametrize("text", [None, "", "[hooks]\n"])
def test_no_hooks_are_no_hooks(tmp_path: Path, world: World, text: str | None) -> None:
    assert load(tmp_path if text is None else written(tmp_path, text), world) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hooks\n", ":1"),
        ("[hook]\n", 'hook: unknown key; write "hooks"'),
        ("[hooks]\ncommand = {}\n", "must be a list"),
        ('[[hooks.command]]\non = ["gate"]\n', "run: is missing"),
        ('[[hooks.command]]\non = ["gate"]\nrun = "page --team"\n', "must be a list"),
        ('[[hooks.command]]\non = ["gate"]\nrun = []\n', "has 0 elements"),
        ('[[hooks.command]]\non = []\nrun = ["x"]\n', "has 0 elements"),
        ('[[hooks.command]]\non = ["gates"]\nrun = ["x"]\n', 'write "gate"'),
        ('[[hooks.command]]\non = ["gate"]\nrun = ["x"]\ntimeout_s = 0\n', "must be more than 0"),
        ('[[hooks.command]]\non = ["gate"]\nrun = ["x"]\ntimeout_s = 61\n', "at most 60"),
        (f'[[hooks.webhook]]\non = ["gate"]\nurl = "x"\nsecret = "{SECRET}"\n', "env:NAME"),
        (f'[[hooks.webhook]]\non = ["gate"]\nurl = "https://u:{SECRET}@h/"\n', "without user"),
        (f'[[hooks.apprise]]\non = ["gate"]\nurl = "slack://{SECRET}"\n', "never the address"),
    ],
)
def test_wrong_file_is_refused_with_its_place_and_without_its_secrets(
    tmp_path: Path, world: World, text: str, said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        load(written(tmp_path, text), world)
    told = "\n".join([str(refused.value), *map(str, refused.value.findings)])
    assert "migrate.toml" in told
    assert said in told
    assert SECRET not in told


def test_every_kind_has_its_table_and_its_delivery() -> None:
    tables = resources.schema("migrate")["properties"]
    assert isinstance(tables, dict)
    assert set(tables["hooks"]["properties"]) == {kind.value for kind in Kind} == set(DELIVERIES)


def test_points_and_events_are_those_of_the_schemas() -> None:
    settings, event = resources.schema("migrate"), resources.schema("hook-event")
    known = {point.value for point in Point}
    assert isinstance(settings["$defs"], dict)
    assert isinstance(event["properties"], dict)
    assert set(settings["$defs"]["on"]["items"]["enum"]) == known
    assert set(event["properties"]["point"]["enum"]) == known
    assert set(event["properties"]["event"]["enum"]) == {one.value for one in POINTS}
    assert {point for points in POINTS.values() for point in points} == set(Point)


@pytest.mark.parametrize("reference", ["env:CCO_TEST_UNSET", "file:/no/such/file"])
def test_secret_that_is_not_there_is_named_by_its_reference(reference: str) -> None:
    with pytest.raises(ToolkitError, match=reference):
        secret_of(reference)
