"""The command `contrail-emulator`: one line on stderr for an error, exit 2 for usage, 1 for failure."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from contrail_emulator import __version__
from contrail_emulator.lab.errors import LabError

from . import running, show


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="contrail-emulator")
@click.option("--log-level", type=click.Choice(["debug", "info", "warn", "error"]), default="warn", show_default=True)
@click.option("--log-json", is_flag=True, help="Log JSON lines.")
@click.option("--log-file", type=click.Path(dir_okay=False, path_type=Path), help="Log here instead of stderr.")
@click.pass_context
def cli(context: click.Context, log_level: str, log_json: bool, log_file: Path | None) -> None:
    """OpenContrail / Tungsten Fabric's control plane: real BGP, real XMPP, a forwarding model, one process."""
    context.obj = running.LogOptions(log_level, log_json, log_file)


cli.add_command(running.up)
cli.add_command(running.demo)
cli.add_command(show.show)
cli.add_command(show.ping)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command and exits."""
    try:
        status = cli.main(args=arguments, prog_name="contrail-emulator", standalone_mode=False)
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
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    print(f"contrail-emulator: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)
