"""The project's Invoke tasks: `invoke --list`. The namespace lives in cco_migrate/cli.py."""

from invoke.main import program

from cco_migrate.cli import namespace
from cco_migrate.program import HelpfulProgram

ns = namespace()
program.__class__ = HelpfulProgram  # the one that loads this file: it told too little of a typo
