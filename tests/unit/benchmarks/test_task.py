"""`invoke bench`: every benchmark it offers is there, and an unknown one is refused."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from cco_migrate.commands import development
from cco_migrate.errors import InvalidInput
from cco_migrate.options import OPTIONS


def test_every_benchmark_is_a_module_that_can_be_run() -> None:
    for module in development.BENCHES.values():
        assert find_spec(module) is not None, module


def test_default_is_a_benchmark() -> None:
    assert OPTIONS["what"].default in development.BENCHES


def test_unknown_benchmark_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput) as refused:
        development.bench("speed", 1)
    names = ", ".join(development.BENCHES)
    assert str(refused.value) == f"--what speed: unknown; there are: {names}, all"
