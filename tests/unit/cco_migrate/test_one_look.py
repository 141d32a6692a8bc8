"""One look: what was answered is not asked again, and everybody is told the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count

import httpx
import pytest

from cco_migrate.client import GatewayClient, Unreachable
from cco_migrate.one_look import one_look
from cco_migrate.overlay import overlay
from cco_migrate.world import World

Answer = tuple[int, Mapping[str, str], bytes]
TIMEOUT_S = 20.0


@pytest.fixture
def asked() -> list[str]:
    """What reached the gateway, in its order."""
    return []


@pytest.fixture
def url(serve: Callable[..., str], asked: list[str]) -> str:
    """A gateway that says another status each time it is asked."""
    numbers: Iterator[int] = count(1)

    def script(method: str, target: str, _body: bytes) -> Answer:
        asked.append(f"{method} {target}")
        return 200, {}, b'{"status": "%d"}' % next(numbers)

    return serve(script)


def test_gateway_is_asked_once_and_all_are_told_the_same(
    world: World, url: str, asked: list[str]
) -> None:
    look = one_look(world)
    told = {GatewayClient(url, look.http).health().status for _ in range(3)}
    assert (told, asked) == ({"1"}, ["GET /health"])


def test_what_differs_is_asked(world: World, url: str, asked: list[str]) -> None:
    look = one_look(world)
    for target, accept in (("/a", "x"), ("/a", "y"), ("/b", "x"), ("/a?n=1", "x"), ("/a", "x")):
        look.http.get(url + target, {"accept": accept}, TIMEOUT_S)
    assert asked == ["GET /a", "GET /a", "GET /b", "GET /a?n=1"]


def test_every_look_asks_for_itself(world: World, url: str) -> None:
    told = [GatewayClient(url, one_look(world).http).health().status for _ in range(2)]
    assert told == ["1", "2"]


def test_world_that_does_not_look_asks_each_time(world: World, url: str) -> None:
    gateway = GatewayClient(url, world.http)
    assert [gateway.health().status for _ in range(2)] == ["1", "2"]


def test_dry_run_inside_a_look_is_told_what_the_plan_was_told(
    world: World, url: str, asked: list[str]
) -> None:
    look = one_look(world)
    over, _ = overlay(look)
    told = [GatewayClient(url, one.http).health().status for one in (look, over, one_look(over))]
    assert (told, asked) == (["1", "1", "1"], ["GET /health"])


def test_close_forgets_and_leaves_the_connections_to_their_owner(world: World, url: str) -> None:
    look = one_look(world)
    client = look.http.client
    first = GatewayClient(url, look.http).health().status
    look.http.close()
    second = GatewayClient(url, look.http).health().status
    assert ([first, second], world.http.client) == (["1", "2"], client)
    assert not client.is_closed


def test_other_requests_are_sent_each_time(world: World, url: str, asked: list[str]) -> None:
    client = one_look(world).http.client
    for _ in range(2):
        assert client.post(f"{url}/gateway/what-if").status_code == 200
    assert asked == ["POST /gateway/what-if"] * 2


def test_silence_is_not_remembered(world: World, url: str, closed_port: int) -> None:
    look = one_look(world)
    nobody = GatewayClient(f"http://127.0.0.1:{closed_port}", look.http)
    for _ in range(2):
        with pytest.raises(Unreachable):
            nobody.health()
    with pytest.raises(httpx.ConnectError):
        look.http.get(nobody.url, {}, TIMEOUT_S)
    assert GatewayClient(url, replace(look).http).health().status == "1"
