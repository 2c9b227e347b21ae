"""`pixelgen weights`: weights on this computer and on the Hub."""

from __future__ import annotations

import typer

from pixelgen.cli import options
from pixelgen.cli.weights.listing import list_weights, path, show
from pixelgen.cli.weights.sharing import pull, push
from pixelgen.cli.weights.upkeep import remove, verify
from pixelgen.errors import UsageError

app = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list")(list_weights)
for command in (show, path, pull, push, verify, remove):
    app.command(command.__name__)(command)


@app.callback()
def weights(context: typer.Context, as_json: options.Json = False) -> None:
    """List, fetch, publish, verify and remove weights.

    Without a command it lists them. REF is a bundled name, a folder, or a Hub id owner/name,
    owner/name@revision.

    \b
    Examples:
      pixelgen weights
      pixelgen weights pull owner/name
    """
    if context.invoked_subcommand is None:
        list_weights(as_json)
    elif as_json:
        name = context.invoked_subcommand
        raise UsageError("--json is in the wrong place", f"weights {name} … --json")
