"""The project's Invoke tasks: `invoke --list`. The namespace lives in cco_migrate/cli.py."""

from cco_migrate.cli import namespace

ns = namespace()
