"""What `cco-gateway daemon …` and `launch` do and print; thin: each returns its exit code."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.config.daemon import load_daemon
from gateway.config.loading import Settings, load

from . import daemon, discovery, last_ports, launcher, log_file, other_daemons, run_words
from .canary import KnownBy, SessionKey, Way, session_key
from .canary import way as way_of
from .discovery import Fault, Found, FoundProxy, Missing
from .handover import Request
from .listener import url_host
from .pidfile import PidRecord
from .port_notice import reached_at

STOPPED = 3  # what init scripts answer for "not running"
NOT_EXECUTABLE = 126  # the two that shells answer
NOT_FOUND = 127
INTERRUPTED = 130

_DRAIN_GRACE_S = 60.0


def start(arguments: Namespace, home: Path) -> int:
    """Start the daemon and say where it serves."""
    settings = load(_config_dir(arguments, home), home)  # a bad file is told here, and once
    return _start(arguments, home, run_words.given(arguments), settings)


def stop(arguments: Namespace, home: Path) -> int:
    """Drain and stop the daemon; what still runs after the time limit is killed."""
    stopped = daemon.stop(home, arguments.timeout)
    if stopped is None:
        print(f"no daemon runs on {home}")
    else:
        print(f"{'killed' if stopped.killed else 'stopped'}: pid {stopped.pid}")
    return 0


def restart(arguments: Namespace, home: Path) -> int:
    """Replace the daemon, with its options and those given now; a moved one stops and starts."""
    record = daemon.running(home)
    if record is None:
        return start(arguments, home)
    kept = run_words.of_process(record.pid)
    words = (*kept, *run_words.given(arguments))
    config_dir = run_words.option(words, "--config-dir")
    settings = load(home / "config" if config_dir is None else Path(config_dir), home)
    if not _moves(words, settings, record):
        return _replace(arguments, home, run_words.given(arguments))
    print(f"stopping: pid {record.pid} finishes what is open", file=sys.stderr)
    stopped = daemon.stop(home, settings.server.drain_s + _DRAIN_GRACE_S)
    if stopped is not None and stopped.killed:
        print(f"Warning: pid {stopped.pid} did not end in time: killed", file=sys.stderr)
    return _start(arguments, home, words, settings)


def replace(arguments: Namespace, home: Path) -> int:
    """Replace supervisor and workers by new processes, on the same sockets."""
    return _replace(arguments, home, ())


def status(_: Namespace, home: Path) -> int:
    """Say what listens where; 0 only when it serves."""
    record = daemon.running(home)
    if record is None:
        print(f"stopped: no daemon runs on {home}")
        print(*_why_stopped(home), sep="", end="")
        return STOPPED
    found = discovery.find(home)
    serves = isinstance(found, Found) or found.fault is Fault.SWITCHED_OFF
    port = "not told yet" if record.port is None else record.port
    state = "running" if serves else "not serving"
    print(f"{state}: pid {record.pid}, port {port}, version {record.version or 'unknown'}")
    _print_places(home, record, _gateway_text(found))
    for other in other_daemons.others(home, os.environ):
        print(f"  besides  pid {other.record.pid}, port {other.record.port}: {other.pid_file}")
    return 0 if serves else STOPPED


def logs(arguments: Namespace, home: Path) -> int:
    """Print the end of the log, and with `-f` what is appended."""
    path = log_file.path_in(home)
    data, offset = log_file.tail(path, arguments.lines)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly when the reader does
    out = sys.stdout.buffer
    out.write(data)
    out.flush()
    try:
        for more in log_file.follow(path, offset) if arguments.follow else ():
            out.write(more)
            out.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def reload(arguments: Namespace, home: Path) -> int:
    """Replace the workers."""
    print(f"reloaded: generation {daemon.reload(home, arguments.timeout)}")
    return 0


def launch(arguments: Namespace, home: Path) -> int:
    """Become the client; returns only when it cannot be executed.

    What is said goes to standard error: standard output is the client's.
    """
    switches, warnings = load_daemon(_config_dir(arguments, home), home)
    on_missing = launcher.OnMissing(arguments.on_missing)
    client: Sequence[str] = arguments.client
    drawn = None
    if switches.is_canary:
        drawn = launcher.draw(switches.gateway_share, home, session_key(client, Path.cwd()))
    prepared = launcher.prepare(switches, home, os.environ, on_missing, drawn=drawn)
    for line in (*(f"Warning: {text}" for text in warnings), *prepared.lines):
        print(line, file=sys.stderr)
    sys.stderr.flush()
    try:
        launcher.become(client, prepared.environ)
    except OSError as error:
        print(f"Error: {client[0]} cannot be started: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def canary(arguments: Namespace, home: Path) -> int:
    """Say which way sessions are launched: those of the ids given, else that of the folder."""
    switches, warnings = load_daemon(_config_dir(arguments, home), home)
    salt, more = launcher.salt_of(home) if switches.is_canary else (b"", ())
    for text in (*warnings, *more):
        print(f"Warning: {text}", file=sys.stderr)
    if not switches.is_canary:
        print("no canary: launches are not divided")
        return 0
    keys = [SessionKey(KnownBy.ID, one) for one in arguments.session_id]
    ways: dict[Way, list[str]] = {way: [] for way in Way}
    for key in keys or [session_key((), Path.cwd())]:
        ways[way_of(key, salt, switches.gateway_share)].append(key.value)
    print(f"canary {switches.gateway_share} %")
    for way, found in ways.items():
        print(f"{way.value} ({len(found)}):", *found)
    return 0


def _start(arguments: Namespace, home: Path, words: Sequence[str], settings: Settings) -> int:
    before = last_ports.recall(home).port
    proxy = settings.daemon.proxy_enabled
    record = daemon.start(home, ("--any-port", *words), arguments.timeout, proxy=proxy)
    print(f"started: pid {record.pid}, port {record.port}, version {record.version}")
    _print_places(home, record, _place(record))
    if arguments.port is None and before not in (None, record.port):
        print(
            f"Warning: the last run had port {before}; start its clients again: they still use it",
            file=sys.stderr,
        )
    return 0


def _replace(arguments: Namespace, home: Path, words: tuple[str, ...]) -> int:
    before = daemon.running(home)
    request = Request(_interpreter(arguments.python), words)
    record = daemon.replace(home, request, arguments.timeout)
    old = "?" if before is None else before.pid
    print(f"replaced: pid {old} by pid {record.pid}, port {record.port}, version {record.version}")
    _print_places(home, record, _place(record))
    return 0


def _interpreter(given: Path | None) -> str | None:
    """Return the path of the interpreter that was named; None when none was."""
    if given is None:
        return None
    return str(Path(shutil.which(given) or given).absolute())


def _moves(words: Sequence[str], settings: Settings, record: PidRecord) -> bool:
    """Return whether another address is asked for: a socket that is handed over keeps its own."""
    server = settings.server
    port = run_words.option(words, "--port") or server.port
    host = run_words.option(words, "--host") or server.host
    return str(port) not in ("None", "0", str(record.port)) or reached_at(host) != record.host


def _place(record: PidRecord) -> str:
    url = f"http://{url_host(record.host)}:{record.port}"
    return url if record.gateway_port else f"switched off; {url} passes on what still comes"


def _config_dir(arguments: Namespace, home: Path) -> Path:
    found: Path = arguments.config_dir or home / "config"
    return found.absolute()


def _print_places(home: Path, record: PidRecord, gateway: str) -> None:
    proxy = "off"
    if record.proxy_port is not None:
        found = discovery.find_proxy(home)
        proxy = found.url if isinstance(found, FoundProxy) else f"not serving: {found.text}"
    print(f"  gateway  {gateway}")
    print(f"  proxy    {proxy}")
    print(f"  log      {log_file.path_in(home)}")


def _gateway_text(found: Found | Missing) -> str:
    if isinstance(found, Missing):
        return f"{found.fault.value}: {found.text}"
    down = f": cannot reach {', '.join(found.down)}" if found.down else ""
    return f"{found.url} ({found.status}{down})"


def _why_stopped(home: Path) -> Iterator[str]:
    found = discovery.find(home)
    if isinstance(found, Missing) and found.fault is not Fault.ABSENT:
        yield f"  {found.text}\n"
    port = last_ports.recall(home).port
    if port is not None:
        state = "is taken by another process" if discovery.is_served(port) else "is free"
        yield f"  port {port} of the last run {state}\n"
