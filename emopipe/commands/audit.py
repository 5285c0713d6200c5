"""The command `emopipe audit`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emopipe.core.log import log_to
from emopipe.core.text import escape_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

    from emopipe.corpora.audit.findings import Finding
    from emopipe.evaluation.corpus_audit import Audit
    from emopipe.workflow.config import Config

SOUND = "the sound itself"
"""What people are compared by where no network is needed."""
IDENTITY = ("mobilefacenet", "ir50", "ir_se50", "vggface", "onnx")
"""Kinds of face networks that say who a person is, or may do so."""
MOST_SHOWN = 10
"""Findings of a kind that the text lists; JSON has all."""
WORDS = {
    "identical": "Pairs of clips whose files are equal",
    "picture": "Pairs of clips with the same frames",
    "mirrored": "Pairs of clips with the same frames, one mirrored",
    "sound": "Pairs of clips with the same sound",
    "face": "Pairs of people of different names and splits whose faces are as alike as one person's",
    "voice": "Pairs of people of different names and splits whose voices are as alike as one person's",
    "person": "People in several splits",
    "sentence": "Sentences in several splits",
}


def audit(
    config: Annotated[Path, typer.Argument(help="A config file.")],
    corpus_root: Annotated[
        str | None, typer.Option(help="The folder of the corpus, for a config that does not set corpus_root.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the audit as JSON, and nothing else, to standard output.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 1 if anything was found.")] = False,
) -> None:
    """Look for what makes scores of a corpus too good, before training: copies, shared people, voices and sentences.

    Frames, sound and vectors come from the cache, which `emopipe run CONFIG extract` makes. Nothing is written.
    """
    log_to(None)
    from emopipe.workflow import config as configs

    raw = configs.read(config)
    checked = configs.parse({**raw, **({"corpus_root": corpus_root} if corpus_root else {})})
    found = _audited(checked, config)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), allow_nan=False))
    else:
        for line in _lines(found):
            typer.echo(escape_text(line))
    if strict and found.findings:
        raise typer.Exit(1)


def _audited(config: "Config", path: Path) -> "Audit":
    from emopipe.corpora.audit import contents
    from emopipe.corpora.strata import rule
    from emopipe.evaluation.corpus_audit import Audit
    from emopipe.evaluation.split_comparison import FOLDS
    from emopipe.workflow import audit_sources, met_in_training

    table, space = audit_sources.clip_table(config), config.label_space
    grouped = contents.with_groups(table, space, least=FOLDS)
    counted = grouped if space.kind == "dimensions" else table
    found = Audit(len(table), contents.class_counts(counted), contents.identical(table))
    if not space.has_one_class:
        found.remarks.append(f"Splits are compared by how well a model finds the {rule(space)} of a clip.")
    prints = audit_sources.read_prints(config, table)
    _note_missing(found, len(prints.clips), "frames and sound", path)
    if still := sum(shown.is_still for shown in prints.pictures.values()):
        found.not_done.append(f"Frames: {still} clips show no movement, so their frames are not compared.")
    found.findings += contents.alike(table, prints.pictures, prints.sounds, found.findings)
    found.findings += contents.shared("person", table, "subject")
    sentence = contents.sentence_column(table)
    if sentence:
        found.findings += contents.shared("sentence", table, sentence)
    else:
        found.not_done.append("Sentences: the clip table has no column that names them for all clips.")
    if (unknown := int((table["subject"] == "").sum())) > 0:
        found.not_done.append(
            f"People: {unknown} of {len(table)} clips have no known subject. Their voices and faces are not compared, "
            "because a single clip says too little about who it is."
        )
    _add_people(found, SOUND, "audio", grouped, prints.voices)
    _note_faces(found, config)
    _by_vectors(found, config, grouped, path)
    met = met_in_training.met_clips(table, config.corpus.kind, config.backbones)
    found.remarks += met_in_training.remarks(table, met)
    return found


def _by_vectors(found: "Audit", config: "Config", table: "pd.DataFrame", path: Path) -> None:
    """Add what needs cached vectors: people who are alike, and the comparison of splits.

    The labels of the table are classes, or stand for classes.
    """
    import numpy as np

    from emopipe.evaluation import corpus_audit
    from emopipe.workflow import audit_sources
    from emopipe.workflow.config import modality

    for name, block in config.backbones.items():
        vectors = audit_sources.mean_vectors(config, name, table)
        _note_missing(found, len(vectors), f"vectors of {name}", path)
        clips = table[table["clip"].isin(vectors)].reset_index(drop=True)
        if clips.empty:
            continue
        stacked = np.stack([vectors[clip] for clip in clips["clip"]])
        _add_people(found, name, modality(block), table, vectors)
        if block.pretrain:  # vectors of a clip then come from the network that was trained without its fold
            found.not_done.append(
                f"Splits by {name}: its networks are trained on this corpus, a network for each fold."
            )
            continue
        before = len(found.comparisons)
        corpus_audit.add_comparison(found, name, clips, stacked)
        if len(found.comparisons) == before:
            found.not_done.append(f"Splits by {name}: too few labelled clips, or no people or sentences are known.")


def _add_people(
    found: "Audit", name: str, modality: str, table: "pd.DataFrame", vectors: "Mapping[str, np.ndarray]"
) -> None:
    """Add the people who are alike by the vectors of their clips, and say what could not be compared."""
    import numpy as np

    from emopipe.corpora.audit.people import FEWEST_CLIPS
    from emopipe.evaluation import corpus_audit

    clips = table[table["clip"].isin(vectors)].reset_index(drop=True)
    if clips.empty:
        return
    corpus_audit.add_people(found, name, modality, clips, np.stack([vectors[clip] for clip in clips["clip"]]))
    if why := found.people[name].why_not:
        found.not_done.append(f"People by {name}: {why}.")
    elif few := found.people[name].too_few:
        found.not_done.append(f"People by {name}: {few} people with fewer than {FEWEST_CLIPS} clips are not compared.")


def _note_faces(found: "Audit", config: "Config") -> None:
    from emopipe.workflow.config import modality

    faces = [block.kind for block in config.backbones.values() if modality(block) == "face"]
    if not set(faces) & set(IDENTITY):
        by = "by networks for emotions alone, which are weak at this" if faces else "not at all"
        found.not_done.append(
            f"Faces: the config has no network that is made to say who a person is ({', '.join(IDENTITY)}), so the "
            f"faces of people are compared {by}."
        )


def _note_missing(found: "Audit", cached: int, what: str, config: Path) -> None:
    if cached < found.clips:
        found.not_done.append(
            f"The cache holds {what} of {cached} of {found.clips} clips. `emopipe run {config} extract` makes the "
            "others, except for clips without any."
        )


def _lines(found: "Audit") -> list[str]:
    from emopipe.evaluation.corpus_audit import flattery

    lines = [f"{found.clips} clips."]
    for split, counts in found.counts.items():
        lines.append(f"  {split}: {sum(counts.values())} ({', '.join(f'{name} {n}' for name, n in counts.items())})")
    for kind, words in WORDS.items():
        some = [finding for finding in found.findings if finding.kind == kind]
        lines.append(f"{words}: {len(some)}{_of_which(some)}")
        lines += [f"  {_one(finding)}" for finding in some[:MOST_SHOWN]]
        if len(some) > MOST_SHOWN:
            lines.append(f"  and {len(some) - MOST_SHOWN} more; --json lists all.")
    lines.append(f"Pairs of clips of the same content, but with two labels: {found.conflicts}.")
    lines += flattery(found.comparisons)
    lines += found.remarks
    return lines + [f"Not examined: {sentence}" for sentence in found.not_done]


def _of_which(some: list["Finding"]) -> str:
    if not some or not some[0].labels:
        return "."
    conflicts = sum(finding.is_conflict for finding in some)
    return f", of which {sum(finding.across for finding in some)} are across splits, and {conflicts} have two labels."


def _one(finding: "Finding") -> str:
    if len(finding.names) == 1:
        return f"{finding.names[0]} ({', '.join(finding.splits)})"
    labels = finding.labels or ("",) * len(finding.names)
    sides = zip(finding.names, finding.splits, labels, strict=True)
    texts = [f"{name} ({', '.join(filter(None, (split, label)))})" for name, split, label in sides]
    similarity = "" if finding.kind == "identical" else f": similarity {finding.similarity:.3f}"
    return f"{' and '.join(texts)}{similarity}"
