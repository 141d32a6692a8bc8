"""How a supervisor is replaced by another: what is asked, what is left, what the heir says.

The successor inherits the open sockets and the lock, and is started by its own command line, so
that another version or interpreter can take over. It gets its workers ready first; then:

    successor     predecessor
    started   →                 this is my pid
    ready     →                 my workers serve
              ←   take          the PID file and the lock's name are yours
    taken     →                 written
              ←   left          the service manager knows you; I finish what is open

Until `taken`, whatever goes wrong leaves the predecessor in charge: its successor says `failed`, or
is `dismissed`. A predecessor that dies has left everything: its successor carries on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
from collections.abc import Iterator, MutableMapping
from dataclasses import asdict, dataclass
from enum import Enum, auto
from pathlib import Path

from gateway.errors import GatewayError

from . import state_file
from .channel import ControlChannel

log = logging.getLogger(__name__)

ENVIRONMENT = "CCO_GATEWAY_HANDOVER"
REQUEST_FILE = "replacement.json"

_VERSION = 1  # of the talk, and of the environment variable


@dataclass(frozen=True, slots=True)
class Request:
    """How a successor is to be started.

    Attributes:
        python: Its interpreter; None for the one that runs.
        words: Added to the command line it is started with; the last of two contrary words counts.
    """

    python: str | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Estate:
    """What a supervisor leaves to its successor; the descriptors are open in both.

    Attributes:
        proxy_listener: None when the legacy proxy is off.
        generation: The successor's first set is one above.
    """

    listener: int
    lock: int
    proxy_listener: int | None
    generation: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a child has to inherit."""
        proxy = () if self.proxy_listener is None else (self.proxy_listener,)
        return (self.listener, self.lock, *proxy)


class Phase(Enum):
    """Where a handover stands."""

    STARTING = auto()
    READY = auto()
    TAKING = auto()
    TAKEN = auto()
    LEFT = auto()
    FAILED = auto()


def variable(estate: Estate, channel: int) -> str:
    """Return what the successor finds in its environment."""
    return json.dumps({"version": _VERSION, "channel": channel, **asdict(estate)})


_PHASES = {"take": Phase.TAKING, "left": Phase.LEFT, "dismissed": Phase.FAILED}


def write_request(home: Path, request: Request) -> None:
    """Leave a request where the supervisor that is signalled next looks for it."""
    state_file.write(home / REQUEST_FILE, asdict(request))


def take_request(home: Path) -> Request:
    """Return the request and remove it; without one the same program is started again.

    Raises GatewayError when it is not readable.
    """
    path = home / REQUEST_FILE
    try:
        text = path.read_bytes()
        path.unlink()
        document = json.loads(text)
        python, words = document["python"], tuple(map(str, document["words"]))
    except FileNotFoundError:
        return Request()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GatewayError(f"{path} held no request: {error!r}; ask again") from error
    return Request(None if python is None else str(python), words)


class Predecessor:
    """The supervisor that is to be replaced, as its successor holds it; never blocks.

    Attributes:
        phase: TAKING when the PID file is to be written, LEFT when this process is the service,
            FAILED when it is not wanted.
        ended: Whether it is gone, with all it had open.
    """

    def __init__(self, estate: Estate, channel: socket.socket) -> None:
        self.estate, self.phase, self.ended = estate, Phase.STARTING, False
        self._channel = ControlChannel(channel)
        self._channel.send({"type": "started", "pid": os.getpid()})
        self._selector: selectors.BaseSelector | None = None

    def listen(self, selector: selectors.BaseSelector) -> None:
        """Have the selector call `hear`."""
        self._selector = selector
        selector.register(self._channel.sock, selectors.EVENT_READ, self.hear)

    def hear(self) -> None:
        """Note what it says; its end leaves everything to us."""
        messages, is_open = self._channel.read()
        for message in messages:
            self.phase = _PHASES[message["type"]]
        if not is_open:
            self.ended = True
            if self.phase not in (Phase.LEFT, Phase.FAILED):
                log.warning("the supervisor before is gone in the middle of the handover")
            if self._selector is not None:
                self._selector.unregister(self._channel.sock)

    def ready(self) -> None:
        """Report that the workers here serve."""
        self.phase = Phase.READY
        self._channel.send({"type": "ready"})

    def taken(self) -> None:
        """Report that the PID file names this process."""
        self.phase = Phase.TAKEN
        self._channel.send({"type": "taken"})


@contextlib.contextmanager
def from_predecessor(environ: MutableMapping[str, str]) -> Iterator[Predecessor | None]:
    """Yield who started this process to be replaced by it; None when nobody did.

    The variable is removed, for children are no successors. An error that passes is reported.

    Raises GatewayError when the two versions do not understand each other.
    """
    left = environ.pop(ENVIRONMENT, None)
    if left is None:
        yield None
        return
    document = json.loads(left)
    version, channel = document.pop("version"), socket.socket(fileno=document.pop("channel"))
    try:
        _check(version)
        yield Predecessor(Estate(**document), channel)
    except (GatewayError, OSError) as error:
        ControlChannel(channel).send({"type": "failed", "error": str(error)})
        raise
    finally:
        channel.close()


def _check(version: int) -> None:
    if version != _VERSION:
        raise GatewayError(
            f"this version takes over by protocol {_VERSION}, the daemon that runs speaks "
            f"{version}: stop the daemon and start it"
        )
