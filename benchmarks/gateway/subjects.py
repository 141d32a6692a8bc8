"""Start what is measured and what it is measured beside: upstreams, nginx, the gateway."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.gateway.bodies import (
    REQUESTED,
    SENT_INSTEAD,
    Format,
    plain_answer,
)
from benchmarks.gateway.programs import (
    Address,
    free_port,
    listens,
    required,
    running,
    wait_until,
)

ROOT = Path(__file__).resolve().parents[2]
_READY_S = 120.0  # under valgrind, on a busy machine
_KEY_NAME = "BENCH_UPSTREAM_KEY"

Prefix = Callable[[Sequence[str]], tuple[str, ...]]
"""Turns a command into the one that is run, e.g. under valgrind."""


class Provider(StrEnum):
    """The type of what is behind the gateway; clients speak Anthropic's format."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    """Streams are translated. The model's id is the same, for it has a price."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A running server.

    Attributes:
        pid: The top process.
    """

    address: Address
    pid: int


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """The gateway to start.

    Attributes:
        rules: How many override rules; the last is the one that fires.
    """

    upstream: Address
    provider: Provider = Provider.ANTHROPIC
    rules: int = 3


def as_it_is(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command unchanged."""
    return tuple(command)


@contextmanager
def canned_upstream() -> Iterator[Subject]:
    """Run nginx that answers every request at once, so that what is measured is the gateway."""
    text = plain_answer(Format.MESSAGES).decode()
    place = f"location / {{ default_type application/json; return 200 '{text}'; }}"
    with _nginx("", place, as_it_is) as subject:
        yield subject


@contextmanager
def paced_upstream() -> Iterator[Subject]:
    """Run the upstream that streams at the pace it is asked for."""
    address = Address(free_port())
    module = ("-m", "benchmarks.gateway.paced_server", "--port", str(address.port))
    with tempfile.TemporaryDirectory(prefix="bench-paced-") as folder:
        log = Path(folder) / "log"
        with running((sys.executable, *module), log, cwd=ROOT, env=os.environ) as process:
            wait_until(lambda: listens(address), process, log, _READY_S)
            yield Subject(address, process.pid)


@contextmanager
def nginx_proxy(upstream: Address, prefix: Prefix = as_it_is) -> Iterator[Subject]:
    """Run nginx as a plain reverse proxy: what passing bytes on costs at the least."""
    origin = (
        f"upstream origin {{ server {upstream}; keepalive 512; keepalive_requests 100000000; }}"
    )
    place = (
        "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off; "
        "proxy_read_timeout 600s; location / { proxy_pass http://origin; }"
    )
    with _nginx(origin, place, prefix) as subject:
        yield subject


@contextmanager
def gateway(plan: GatewayPlan, prefix: Prefix = as_it_is) -> Iterator[Subject]:
    """Run the gateway with ledger, metrics, prices and overrides, as a user would."""
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder:
        home, log = Path(folder), Path(folder) / "gateway.log"
        _configure(home / "config", plan)
        command = (sys.executable, "-m", "gateway", "run", "--home", str(home), "--port", "0")
        env = {**os.environ, _KEY_NAME: "bench"}
        with running(prefix(command), log, cwd=ROOT, env=env) as process:
            pid_file = home / "daemon.pid"
            wait_until(pid_file.exists, process, log, _READY_S)
            port = json.loads(pid_file.read_bytes())["gateway_port"]
            yield Subject(Address(port), process.pid)


def _configure(folder: Path, plan: GatewayPlan) -> None:
    """Write a gateway's configuration files."""
    folder.mkdir()
    provider = {"providerType": plan.provider.value, "baseUrl": f"http://{plan.upstream}"}
    if plan.provider is Provider.OPENAI:
        provider["apiKeyRef"] = f"env:{_KEY_NAME}"
    section = {"providers": {"bench": provider}, "routing": {"defaultProvider": "bench"}}
    (folder / "orchestra-config.json").write_text(json.dumps({"llmGateway": section}))
    rules = [(f"model-{number:06}", SENT_INSTEAD) for number in range(plan.rules - 1)]
    rules.append((REQUESTED, SENT_INSTEAD))
    lines = "".join(f"  {json.dumps(rule)},\n" for rule in rules)
    text = f"[overrides]\nenabled = true\nrules = [\n{lines}]\n"
    (folder / "model-overrides.toml").write_text(text)
    (folder / "gateway.toml").write_text("[server]\ndrain_s = 5\nlinger_s = 0\n")


@contextmanager
def _nginx(outside: str, inside: str, prefix: Prefix) -> Iterator[Subject]:
    """Run one nginx process: no log, connections kept, no buffering."""
    address = Address(free_port())
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as folder:
        work = Path(folder)
        work.chmod(0o755)  # nginx may work as another user
        conf, log = work / "nginx.conf", work / "log"
        conf.write_text(_NGINX.format(work=work, address=address, outside=outside, inside=inside))
        command = (required("nginx"), "-p", str(work), "-c", str(conf), "-e", str(work / "error"))
        with running(prefix(command), log, env=os.environ) as process:
            wait_until(lambda: listens(address), process, log, _READY_S)
            yield Subject(address, process.pid)


_NGINX = """\
daemon off; master_process off; worker_processes 1; pid {work}/pid; error_log {work}/error warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; tcp_nodelay on;
  client_max_body_size 64m; client_body_buffer_size 1m; client_body_temp_path {work}/body;
  proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u;
  scgi_temp_path {work}/s;
  {outside}
  server {{ listen {address} backlog=2048; {inside} }}
}}
"""
