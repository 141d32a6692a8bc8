"""The tests of this repository: every module has its file, every name that is used is defined."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

SOURCES = {path: path.read_text() for path in sorted(Path("src").rglob("*.rs"))}
NAMES = re.compile(r"\b(?:read|update|start)_\w+")
MODULES = re.compile(r"^(?:pub )?mod (\w+);$", re.MULTILINE)


def missing_modules() -> list[str]:
    """Return the modules that are declared and have no file."""
    declared = [
        (path.parent / name) for path, text in SOURCES.items() for name in MODULES.findall(text)
    ]
    return [
        str(p) for p in declared if not (p.with_suffix(".rs").exists() or (p / "mod.rs").exists())
    ]


def undefined_names() -> list[str]:
    """Return the functions that are used and defined nowhere."""
    used = {name for text in SOURCES.values() for name in NAMES.findall(text)}
    whole = "\n".join(SOURCES.values())
    return sorted(name for name in used if f"fn {name}(" not in whole)


def wrong_ports() -> list[str]:
    """Return the ports that the status tool does not tell, though the PID file has them."""
    tell = runpy.run_path("tools/status.py")["ports"]
    fields = re.findall(r"pub (\w*port): ", SOURCES[Path("src/daemon/lifecycle.rs")])
    written = json.dumps(dict.fromkeys(fields, 1))
    return sorted(tell(written).keys() ^ set(fields))


if __name__ == "__main__":
    faults = [*missing_modules(), *undefined_names(), *wrong_ports()]
    print("\n".join(faults) or f"{len(SOURCES)} files are sound")
    sys.exit(bool(faults))
