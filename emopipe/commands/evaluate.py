"""The command `emopipe evaluate`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from emopipe.core.errors import ConfigError, EmopipeError
from emopipe.core.log import log_to
from emopipe.core.options import Options
from emopipe.core.validation import checked, known
from emopipe.faces import detectors
from emopipe.weights.checksums import verify
from emopipe.weights.entries import DETECTOR
from emopipe.weights.naming import refuse_missing, resolve

if TYPE_CHECKING:
    from emopipe.evaluation import scoring


def evaluate(
    backbone: Annotated[
        str,
        typer.Argument(help="A name of `emopipe weights list` that tells classes, or weights of `emopipe pretrain`."),
    ],
    corpus: Annotated[str, typer.Option(help="KIND:PATH, such as fer2013:DATA/fer2013.zip, folder:DIR, ravdess:DIR.")],
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be given several times.")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Only this person; may be given several times.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE: an option of the corpus' kind; may be given several times.")
    ] = None,
    detect: Annotated[bool, typer.Option("--detect", help="Find and align the faces of stills first.")] = False,
    detector: Annotated[
        str, typer.Option(help="For --detect and for clips; KIND or KIND:WEIGHTS, a file or a name of the list.")
    ] = "mtcnn",
    flip: Annotated[bool, typer.Option(help="Look at faces mirrored, too, and average.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    confusion: Annotated[Path | None, typer.Option(help="Draw the confusion matrix to this PNG.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Score a network that tells emotions on labelled stills, on speech, or on the faces of clips.

    Prints n, accuracy, UAR (unweighted average recall), each class' recall, the confusion matrix, samples a second.
    """
    log_to(None)
    try:
        kind, path = _corpus(corpus)
        if confusion and confusion.suffix != ".png":
            raise ConfigError(f"--confusion is {confusion}; the matrix is drawn as PNG, so end its name in .png.")
        finder, finder_options = _detector(detector)
        # torch is slow to import, and the other commands have no need of it.
        from emopipe.evaluation import networks, samples, scoring
        from emopipe.runtime import device as devices

        where = devices.prepare(device, threads)
        network = networks.open_network(backbone, device=where, threads=threads)
        given = samples.of(
            samples.Corpus(kind, path, tuple(split or ()), tuple(subject or ()), _options(option or ())),
            network.spec,
            detector=lambda: detectors.build(finder, finder_options, threads=threads),
            detect=detect,
            flip=flip,
        )
        scores = scoring.score(network, given)
    except EmopipeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if confusion:
        from emopipe.report.figures import confusion_matrix

        confusion_matrix(scores.confusion, f"{network.name}, n = {scores.n}", confusion)
    if as_json:
        typer.echo(json.dumps(scores.plain()))
    else:
        _tell(scores, network.name, given.what)


def _corpus(given: str) -> tuple[str, Path]:
    """A corpus' kind and path, out of KIND:PATH."""
    kind, _, path = given.partition(":")
    if not (kind and path):
        raise ConfigError(f"--corpus is {given!r}; expected KIND:PATH, such as folder:DIR.")
    return kind, Path(path).expanduser()


def _options(given: Sequence[str]) -> dict[str, Any]:
    """Options of a corpus' kind, out of KEY=VALUE, where values are read as YAML."""
    options = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ConfigError(f"--option is {text!r}; expected KEY=VALUE, such as calm=neutral.")
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"The value of --option {text!r} is no YAML, such as calm=neutral or 'labels={{contempt: Disgust}}'."
            ) from error
    return options


def _detector(given: str) -> tuple[str, Options]:
    """A detector's kind and options, out of KIND or KIND:WEIGHTS."""
    kind, _, weights = given.partition(":")
    known("--detector", kind, detectors.KINDS)
    options = {}
    if weights:
        chosen = resolve(weights, f"{DETECTOR}{kind}", "--detector")
        refuse_missing(chosen.path, "--detector")
        verify(chosen.path)
        options = {**chosen.defaults, "weights": chosen.path}
    return kind, checked(detectors.options_class(kind), options, "--detector")


def _tell(scores: "scoring.Scores", name: str, what: str) -> None:
    low, high, drawn = scores.interval
    typer.echo(f"{name}: {scores.n} {what}" + (f", {scores.left_out} more left out" if scores.left_out else ""))
    typer.echo(f"accuracy {scores.accuracy:.1%} [{low:.1%}, {high:.1%}] (95 % bootstrap interval, drawn by {drawn})")
    typer.echo(f"UAR {scores.uar:.1%}, {scores.per_second:.0f} {what} a second")
    table = Table("labelled", *scores.confusion.columns, "n", "recall", title="predicted", title_justify="center")
    for label, counts in scores.confusion.iterrows():
        if counts.sum():
            table.add_row(label, *map(str, counts), str(counts.sum()), f"{scores.per_class[label]:.1%}")
    Console().print(table)
