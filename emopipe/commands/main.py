"""The command `emopipe`. Each subcommand has a file of its own; this file puts them together."""

from collections.abc import Callable

import typer

from emopipe.commands import weights
from emopipe.commands.cache import cache
from emopipe.commands.check import check
from emopipe.commands.config_keys import config_keys
from emopipe.commands.doctor import doctor
from emopipe.commands.evaluate import evaluate
from emopipe.commands.init import init
from emopipe.commands.inspect import inspect
from emopipe.commands.kinds import kinds
from emopipe.commands.migrate import migrate
from emopipe.commands.predict import predict
from emopipe.commands.pretrain import pretrain
from emopipe.commands.resume import resume
from emopipe.commands.run import run
from emopipe.commands.verify import verify

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Emotion recognition from video clips: check configs, inspect caches, download and train weights.\n\n"
    "Snakemake runs the workflow itself: `snakemake --cores 8 --configfile configs/afew.yaml`.",
)


def _add(command: Callable[..., None], example: str, name: str | None = None, **settings: bool) -> None:
    """Add a subcommand; `settings` are those of its context in click."""
    app.command(name, epilog=f"Example: `{example}`", context_settings=settings)(command)


_add(init, "emopipe init /data/mine")
_add(predict, "emopipe predict interview.mp4 --window 2 --step 0.5")
_add(check, "emopipe check configs/afew.yaml --corpus-root /data/AFEW")
_add(config_keys, "emopipe config-keys", name="config-keys")
_add(kinds, "emopipe kinds")
_add(inspect, "emopipe inspect cache/demo/faces/main/00.h5")
_add(verify, "emopipe verify cache/demo")
_add(cache, "emopipe cache cache/demo")
_add(doctor, "emopipe doctor configs/afew.yaml --corpus-root /data/AFEW")
_add(migrate, "emopipe migrate cache/demo")
# Every other option is Snakemake's.
anything = {"allow_extra_args": True, "ignore_unknown_options": True}
_add(run, "emopipe run mine.yaml --cores 8", **anything)
_add(resume, "emopipe resume --cores 8 --configfile configs/afew.yaml", **anything)
_add(pretrain, "emopipe pretrain configs/weights/expression.yaml --data /data --out expression.safetensors")
_add(evaluate, "emopipe evaluate expression --corpus fer2013:/data/fer2013.zip --split test")
app.add_typer(weights.app, name="weights", epilog="Example: `emopipe weights fetch vggface`")
