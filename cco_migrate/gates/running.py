"""Runs a gate as pytest would, as one call. The verdict comes from the file the plugin writes."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cco_migrate.errors import ToolkitError
from cco_migrate.gates.order import GateOptions
from cco_migrate.scratch import scratch

PLUGIN = "cco_migrate.gates.plugin"


def run_gate(options: GateOptions, outputs: Mapping[str, str]) -> Mapping[str, Any]:  # Any: JSON
    """Run the tests of the gate and return its verdict file.

    Args:
        outputs: Further files to write, by name: "junit", "markdown".

    Raises:
        ToolkitError: pytest ended without a verdict; its last lines are in the message.
        KeyboardInterrupt: Somebody stopped it.
    """
    import pytest  # noqa: PLC0415  # half a second that only a gate has to pay

    with scratch("gate") as folder:
        verdict = folder / "verdict.json"
        words = [f"--gateway-{name}={value}" for name, value in asdict(options).items()]
        words += [f"--gate-{name}={path}" for name, path in outputs.items() if path]
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            status = pytest.main([
                "-p", PLUGIN, "-p", "no:cacheprovider", "--capture=no", f"--rootdir={folder}",
                "-c", _empty_ini(folder), "--pyargs", "cco_migrate.gates",
                f"--gate-verdict={verdict}", *words,
            ])  # fmt: skip
        if status == pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if not verdict.exists():
            last = "\n".join(said.getvalue().strip().splitlines()[-5:])
            raise ToolkitError(f"pytest ended with {status} and no verdict:\n{last}")
        document: Mapping[str, Any] = json.loads(verdict.read_bytes())  # Any: JSON
        return document


def _empty_ini(folder: Path) -> str:
    """Return a configuration of pytest's that says nothing: the operator's folder may have one."""
    path = folder / "pytest.ini"
    path.write_text("[pytest]\n", encoding="ascii")
    return str(path)
