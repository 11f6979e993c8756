"""The command itself: its options, its sub-commands, and how each kind of failure ends it."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import click

from contrail_emulator import __version__
from contrail_emulator.lab.errors import LabError

from .options import FileName, LogOptions
from .printable import print_anywhere

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "up": "running",
        "demo": "running",
        "show": "show",
        "ping": "show",
        "control": "daemons",
        "dns": "daemons",
        "agent": "daemons",
        "config-node": "daemons",
        "config": "config",
    }
)
"""Command -> its module here, imported only when it is used: `show` should not wait for a whole lab to load."""


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(f".{module}", __package__), cmd_name.replace("-", "_"))
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="contrail-emulator")
@click.option("--log-level", type=click.Choice(["debug", "info", "warn", "error"]), default="warn", show_default=True)
@click.option("--log-json", is_flag=True, help="Log JSON lines.")
@click.option("--log-file", type=FileName(), help="Log here instead of stderr.")
@click.pass_context
def cli(context: click.Context, log_level: str, log_json: bool, log_file: Path | None) -> None:
    """OpenContrail / Tungsten Fabric's control plane: real BGP, real XMPP, a forwarding model, one process."""
    context.obj = LogOptions(log_level, log_json, log_file)


def run(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command and exits."""
    print_anywhere((sys.stdout, sys.stderr))
    try:
        status = cli.main(args=arguments, prog_name="contrail-emulator", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        sys.exit(2)
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        _fail(f"{error.format_message()}{where}", 2)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except click.Abort:
        _fail("interrupted", 1)
    except LabError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, as with `| head`
        sys.exit(1)
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> NoReturn:
    print(f"contrail-emulator: {' '.join(message.split())}", file=sys.stderr)
    with contextlib.suppress(OSError):  # what is left in the buffer could not be written: said already
        sys.stdout.close()
    sys.exit(status)
