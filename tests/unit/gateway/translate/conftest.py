"""Golden pairs of the translators: `pytest --update-golden tests/unit/gateway/translate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

import pytest

from gateway.translate import Mint, Translator
from gateway.translate import translators as every_direction

Translators = Callable[[], Mapping[str, Translator]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is produced now")


@pytest.fixture
def translators() -> Translators:
    """Return a function that makes fresh translators by direction, with ids that repeat."""

    def make() -> Mapping[str, Translator]:
        numbers = count(1)
        mint = Mint(lambda: f"{next(numbers):04}", lambda: 1_700_000_000.5)
        rows = every_direction(mint).items()
        return {f"{client}_{upstream}": row for (client, upstream), row in rows}

    return make


@pytest.fixture
def agrees(request: pytest.FixtureRequest) -> Callable[[Path, bytes], None]:
    """Return a function that compares bytes with a golden file, or writes it when asked to."""

    def check(path: Path, produced: bytes) -> None:
        if request.config.getoption("--update-golden", default=False):
            path.write_bytes(produced)
        assert produced == path.read_bytes(), path.name

    return check
