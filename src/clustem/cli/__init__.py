"""The command line: ``commands`` are what it can do, the other files help them."""

from clustem.cli._main import main
from clustem.cli.commands import app

__all__ = ["app", "main"]
