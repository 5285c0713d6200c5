"""The command `emopipe`. Each subcommand has a file of its own, which is imported when it is called.

So `emopipe --help` imports nothing but typer: it reads what each command does from the source of its file.
"""

import ast
import importlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from emopipe import __version__
from emopipe.core.errors import EmopipeError
from emopipe.core.log import DEBUG, debugging

EXAMPLES = {
    "predict": "emopipe predict interview.mp4 --window 2 --step 0.5",
    "export": "emopipe export results/demo --to bundle --out demo.zip",
    "init": "emopipe init /data/mine",
    "run": "emopipe run mine.yaml --cores 8",
    "resume": "emopipe resume --cores 8 --configfile configs/afew.yaml",
    "clip": "emopipe clip s06_angry_1 --run results/demo --html clip.html",
    "check": "emopipe check configs/afew.yaml --corpus-root /data/AFEW",
    "audit": "emopipe audit configs/afew.yaml --corpus-root /data/AFEW",
    "doctor": "emopipe doctor configs/afew.yaml --corpus-root /data/AFEW",
    "config-keys": "emopipe config-keys pretrain",
    "kinds": "emopipe kinds",
    "inspect": "emopipe inspect cache/demo/faces/main/00.h5",
    "compare": "emopipe compare results/first results/second --clips 20",
    "verify": "emopipe verify cache/demo",
    "cache": "emopipe cache cache/demo",
    "migrate": "emopipe migrate cache/demo",
    "pretrain": "emopipe pretrain configs/weights/expression.yaml --data /data --out expression.safetensors",
    "evaluate": "emopipe evaluate expression --corpus fer2013:/data/fer2013.zip --split test",
    "weights": "emopipe weights fetch vggface",
}
"""Command -> an example. Its code is the function, or for a group the `app`, in the module of its name."""
PASS_ON = ("run", "resume")
"""Commands that pass options which they do not know on to Snakemake."""
INTERRUPTED = "The command was interrupted. Files that it finished are kept. Run the same command again to continue."
_ENDS = (typer.Exit, typer.Abort, BrokenPipeError, typer.BadParameter.__mro__[2])
"""Exceptions by which typer itself ends a command; the last one is the base of all its complaints about arguments."""


class _LazyGroup(TyperGroup):
    """Imports a command when it is called, and ends every command without a traceback."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name of the command, the command itself instead of its stub, and the rest of the arguments."""
        name, stub, rest = super().resolve_command(ctx, args)
        if "--debug" in rest:
            os.environ[DEBUG] = "1"
            rest = [word for word in rest if word != "--debug"]
        return name, load(name) if name in EXAMPLES else stub, rest

    def invoke(self, ctx: typer.Context) -> Any:
        """Run a command. An error is shown as its message, with a traceback only if the user asked for it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo(f"\n{INTERRUPTED}", err=True)
            raise typer.Exit(130) from None
        except _ENDS:
            raise
        except Exception as error:
            if debugging():
                raise
            is_known = isinstance(error, EmopipeError)
            hint = "This is a fault of emopipe. Add --debug to see the traceback."
            typer.echo(str(error) if is_known else f"{type(error).__name__}: {error}\n{hint}", err=True)
            raise typer.Exit(1) from None


def load(name: str) -> Any:
    """Import a command and return it for typer."""
    word = name.replace("-", "_")
    module = importlib.import_module(f"emopipe.commands.{word}")
    if (group := getattr(module, "app", None)) is not None:
        loaded = typer.main.get_command(group)
        loaded.name, loaded.epilog = name, _example(name)
        return loaded
    single = typer.Typer(rich_markup_mode="markdown", add_completion=False)
    settings = {"allow_extra_args": True, "ignore_unknown_options": True} if name in PASS_ON else {}
    single.command(name, epilog=_example(name), context_settings=settings)(getattr(module, word))
    return typer.main.get_command(single)


def _example(name: str) -> str:
    return f"Example: `{EXAMPLES[name]}`"


def _summary(name: str) -> str:
    """Return the first line of the docstring of a command's function, or of a group's module, without importing it."""
    word = name.replace("-", "_")
    tree = ast.parse(Path(__file__).with_name(f"{word}.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == word]
    text = ast.get_docstring(functions[0] if functions else tree) or ""
    return text.splitlines()[0]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"emopipe {__version__}")
        raise typer.Exit


def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. It may also stand after the command.")
    ] = False,
) -> None:
    """Recognise emotions in video clips: predict new files, run the workflow, inspect caches, train weights.

    `emopipe run` starts Snakemake with this project's workflow. In a checkout, Snakemake can be called itself:
    `snakemake --cores 8 --configfile configs/afew.yaml`.
    """
    if debug:
        os.environ[DEBUG] = "1"


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich takes longer to import than all the rest of `emopipe --help`
    pretty_exceptions_enable=False,
    epilog="Example: emopipe predict interview.mp4. Each command has an example: emopipe check --help.",
)
app.callback()(_main)
for _name in EXAMPLES:
    app.command(_name, short_help=_summary(_name))(lambda: None)  # a stub, see _LazyGroup.resolve_command
