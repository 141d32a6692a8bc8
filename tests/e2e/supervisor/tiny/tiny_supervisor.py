"""A supervisor of tiny workers: `tiny_supervisor.py HOME PORT WORKERS [LISTEN_FD]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway.errors import GatewayError
from gateway.serve import handover, logs, supervisor


def main() -> int:
    """Supervise until told to stop."""
    home, port, workers, *passed = sys.argv[1:]
    if passed:  # what a service manager does before it executes a daemon
        os.dup2(int(passed[0]), 3)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
    logs.to_stderr()
    plan = supervisor.SupervisorPlan(
        home=Path(home),
        config_dir=Path(home) / "config",
        host="127.0.0.1",
        port=int(port),
        workers=int(workers),
        drain_s=120,
        version="1.2.3",
        ready_timeout_s=float(os.environ["TINY_READY_S"]),
        worker_module="tiny_worker",
        silent_s=float(os.environ["TINY_SILENT_S"]),
        run=os.environ.get("CCO_MIGRATE_RUN"),
        argv=(*sys.argv[:4],),
    )
    try:
        with handover.from_predecessor(os.environ) as predecessor:
            return supervisor.run(plan, predecessor)
    except GatewayError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
