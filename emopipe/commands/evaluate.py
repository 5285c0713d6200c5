"""The command `emopipe evaluate`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from emopipe.core.errors import ConfigError
from emopipe.core.log import log_to
from emopipe.core.options import Options
from emopipe.core.validation import checked, known
from emopipe.faces import detectors
from emopipe.weights.checksums import verify
from emopipe.weights.entries import DETECTOR
from emopipe.weights.naming import refuse_missing, with_path

if TYPE_CHECKING:
    from emopipe.evaluation import networks, scoring


def evaluate(
    backbone: Annotated[
        str,
        typer.Argument(
            help="A name from `emopipe weights list` that has classes, or a weights file from `emopipe pretrain`."
        ),
    ],
    corpus: Annotated[str, typer.Option(help="KIND:PATH, such as fer2013:DATA/fer2013.zip, folder:DIR, ravdess:DIR.")],
    split: Annotated[list[str] | None, typer.Option(help="Use only this split. May be repeated.")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Use only this subject. May be repeated.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE: an option of the kind of corpus. May be repeated.")
    ] = None,
    detect: Annotated[bool, typer.Option("--detect", help="Find and align the faces of stills first.")] = False,
    detector: Annotated[
        str, typer.Option(help="The face detector for --detect and for clips: KIND or KIND:WEIGHTS, a file or a name.")
    ] = "mtcnn",
    flip: Annotated[bool, typer.Option(help="Use mirrored faces too, and average.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object to standard output.")] = False,
    predictions: Annotated[
        Path | None, typer.Option(help="Write what is predicted for each sample to this CSV file.")
    ] = None,
    confusion: Annotated[Path | None, typer.Option(help="Draw the confusion matrix to this PNG file.")] = None,
    device: Annotated[str, typer.Option(help="Where network and detector run: auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(help="The number of CPU threads.")] = 2,
) -> None:
    """Evaluate an emotion classifier on labelled stills, on speech, or on the faces of clips.

    Prints n, accuracy, UAR (unweighted average recall), the recall of each class, the confusion matrix, and samples per
    second. What has no label is predicted and counted, but not scored. What cannot be read, decoded or classified is
    reported, counted by its status, and does not end the evaluation. If the network was trained on copies of samples,
    or on other samples of their people, it reports how many, and the scores on the others as well.
    """
    log_to(None)
    kind, path = _corpus(corpus)
    _check_outputs(confusion, predictions)
    finder, finder_options = _detector(detector)
    # torch is slow to import, and the other commands do not need it.
    from emopipe.evaluation import networks, samples, scoring
    from emopipe.runtime import device as devices

    where = devices.prepare(device, threads)
    network = networks.open_network(backbone, device=where, onnx_device=device, threads=threads)
    given = samples.open_corpus(
        samples.Corpus(kind, path, tuple(split or ()), tuple(subject or ()), _options(option or ())),
        network.spec,
        detector=lambda: detectors.build(finder, finder_options, threads=threads, device=device),
        detect=detect,
        flip=flip,
        trained_on=network.trained_on,
        classes=network.classes,
    )
    scores = scoring.score(network, given)
    if predictions:
        scores.write(predictions)
    if confusion and scores.n:
        from emopipe.report.figures import confusion_matrix

        confusion_matrix(scores.confusion, f"{network.name}, n = {scores.n}", confusion)
    if as_json:
        typer.echo(json.dumps(scores.to_dict()))
    scores.refuse_without_answers()
    if not as_json:
        _print_scores(scores, network, predictions)


def _check_outputs(confusion: Path | None, predictions: Path | None) -> None:
    """Refuse names of files that do not say what is written into them."""
    if confusion and confusion.suffix != ".png":
        raise ConfigError(f"--confusion is {confusion}, but the matrix is drawn as PNG. Give a name that ends in .png.")
    if predictions and predictions.suffix != ".csv":
        raise ConfigError(f"--predictions is {predictions}, but the file is a CSV. Give a name that ends in .csv.")


def _corpus(given: str) -> tuple[str, Path]:
    """Return the kind and the path of KIND:PATH."""
    kind, _, path = given.partition(":")
    if not (kind and path):
        raise ConfigError(f"--corpus is {given!r}. Expected KIND:PATH, such as folder:DIR.")
    return kind, Path(path).expanduser()


def _options(given: Sequence[str]) -> dict[str, Any]:
    """Return the options of KEY=VALUE texts, whose values are read as YAML."""
    options = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ConfigError(f"--option is {text!r}. Expected KEY=VALUE, such as calm=neutral.")
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"The value of --option {text!r} is not YAML. Expected a value as in calm=neutral or "
                "'labels={contempt: Disgust}'."
            ) from error
    return options


def _detector(given: str) -> tuple[str, Options]:
    """Return the kind and the options of a detector, given as KIND or KIND:WEIGHTS."""
    kind, _, weights = given.partition(":")
    known("--detector", kind, detectors.list_kinds())
    options = with_path({"weights": weights} if weights else {}, f"{DETECTOR}{kind}", "--detector")
    if weights:
        refuse_missing(options["weights"], "--detector")
        verify(options["weights"])
    return kind, checked(detectors.options_class(kind), options, "--detector")


def _print_accuracy(scores: "scoring.Scores") -> None:
    from emopipe.scoring.intervals import FEWEST_GROUPS  # slow to import, and --help does not need it

    found, drawn = scores.interval
    if found.method == "none":
        typer.echo(f"accuracy {scores.accuracy:.1%}, UAR {scores.uar:.1%}")
        typer.echo(f"{found.groups} {drawn}s are too few for an interval; {FEWEST_GROUPS} are needed.")
    else:
        bounds = [f"[{low:.1%}, {high:.1%}]" for low, high in zip(found.low, found.high, strict=True)]
        typer.echo(f"accuracy {scores.accuracy:.1%} {bounds[0]}, UAR {scores.uar:.1%} {bounds[1]}")
        typer.echo(f"95 % intervals over {found.groups} {drawn}s ({found.method})")


def _print_unseen(scores: "scoring.Scores") -> None:
    """Print how many samples the weights were trained on, and the scores on the others."""
    if not scores.knows_training:
        typer.echo("The weights do not say what they were trained on: these samples may be among it.")
        return
    counts, others = scores.seen, scores.unseen
    met = {
        "content": "of these are samples that the weights were trained on, or copies of them",
        "speaker": "others are of people that the weights were trained on",
    }
    told = [f"{counts[how]} {text}" for how, text in met.items() if counts[how]]
    if not told:
        typer.echo("None of these is a copy of a sample that the weights were trained on.")
    elif not others.n:
        typer.echo(f"{'; '.join(told)}. No other remains, so these scores say nothing about new samples.")
    else:
        typer.echo(f"{'; '.join(told)}. Over the other {others.n} {scores.unit}:")
        _print_accuracy(others)


def _print_scores(scores: "scoring.Scores", network: "networks.Network", predictions: Path | None) -> None:
    unit, without, name = scores.unit, scores.unlabelled, network.name
    omitted = "".join(f", {count} omitted ({status})" for status, count in scores.failed.items())
    typer.echo(f"{name}: {scores.n} {unit}{omitted}")
    if without:
        counts = ", ".join(f"{label} {count}" for label, count in without.items())
        where = f"See {predictions}." if predictions else "--predictions FILE.csv writes what is predicted for each."
        typer.echo(f"{sum(without.values())} {unit} have no label and are not scored, but predicted: {counts}. {where}")
    if scores.not_scored:
        counts = ", ".join(f"{label} {count}" for label, count in scores.not_scored.items())
        total = sum(scores.not_scored.values())
        typer.echo(f"{total} {unit} show classes that {name} does not have, and are not scored: {counts}.")
    if dropped := [label for label in network.classes if label not in scores.classes]:
        typer.echo(f"No sample shows {', '.join(dropped)}, so the scores are in the seven classes alone, as in use.")
    if not scores.n:
        typer.echo("Nothing is scored, because no label is known of what was classified.")
        return
    _print_accuracy(scores)
    _print_unseen(scores)
    typer.echo(f"{scores.per_second:.0f} {unit} per second")
    table = Table("label", *scores.confusion.columns, "n", "recall", title="predicted", title_justify="center")
    for label, counts in scores.confusion.iterrows():
        if counts.sum():
            table.add_row(label, *map(str, counts), str(counts.sum()), f"{scores.per_class[label]:.1%}")
    Console().print(table)
