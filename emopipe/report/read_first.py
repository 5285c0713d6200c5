"""What a reader must know before the numbers: clips, people, the split, what is in-sample, chance, and the headline."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from emopipe.core.labels import LabelSpace, of_recipe
from emopipe.core.text import abbreviate
from emopipe.corpora.groups import CLIP_UNIT, GROUP_UNIT, SUBJECT_UNIT
from emopipe.corpora.strata import rule
from emopipe.corpora.table import SPLITS
from emopipe.fusion.options import Protocol
from emopipe.fusion.protocol import KFOLD, split_clips
from emopipe.report import transductive, unseen
from emopipe.report.comparisons import PRIMARY
from emopipe.report.measure_words import amount, chance_sentence, shape, shown
from emopipe.report.results import Model, Results
from emopipe.report.summary import BY_CHANCE, HEADING, baselines
from emopipe.scoring.intervals import FEWEST_GROUPS
from emopipe.scoring.measures import primary
from emopipe.scoring.metrics import scored
from emopipe.scoring.paired_tests import FEWEST_TO_FLIP

FEW_CLIPS = 30
"""A split with fewer clips is called small: one clip is more than 3 points."""
UNITS = {
    SUBJECT_UNIT: ("person", "people"),
    GROUP_UNIT: ("group of clips", "groups of clips that share a person, an utterance, a still or a file"),
    CLIP_UNIT: ("clip", "clips"),
}
"""What groups are -> their name, of one and of several."""


def sentences(table: pd.DataFrame, results: Results, compared: pd.DataFrame, recipe: Mapping[str, Any]) -> list[str]:
    """Return the sentences, the headline last.

    Args:
        table: The clip table.
        results: The models of the run.
        compared: The table of comparisons.
        recipe: `Plan.report`.
    """
    protocol = Protocol.model_validate(recipe["protocol"])
    return [
        *_clips(table, protocol, results.space),
        *_people(table, recipe, protocol),
        *_groups(results),
        *_in_sample(recipe),
        *_met(results),
        *transductive.sentences(recipe),
        *_chance(results),
        *_headline(results, compared),
    ]


def _clips(table: pd.DataFrame, protocol: Protocol, space: LabelSpace) -> list[str]:
    labelled = table[table["label"] != ""]
    if protocol.kind == KFOLD:
        of_classes = f"{len(labelled)} labelled clips ({_classes(labelled, space)})"
        made = f"Clips: {of_classes}, each predicted by models that were trained without its fold."
        return [made, *_few(labelled, space)]
    parts, warnings = [], []
    for split in [name for name in SPLITS if (table["split"] == name).any()]:
        n, known = (table["split"] == split).sum(), labelled[labelled["split"] == split]
        unlabelled = "" if len(known) == n else f", {n - len(known)} without a label"
        parts.append(f"{split} {n} ({_classes(known, space)}{unlabelled})")
        if split not in protocol.learned:
            warnings += _few(known, space, split)
    return [f"Clips: {', '.join(parts)}.", *warnings]


def _classes(labelled: pd.DataFrame, space: LabelSpace) -> str:
    """Return how many classes labelled clips show, or how many dimensions are given; of votes, also how many tie."""
    if space.kind == "dimensions":
        return f"{len(space)} dimensions"
    if space.kind == "single":
        return f"{labelled['label'].nunique()} classes"
    ties = int((~labelled["label"].isin(space.names)).sum()) if space.kind == "votes" else 0
    occur = space.targets(labelled).any(0).sum() if len(labelled) else 0
    return f"{occur} classes" + (f", {ties} with a tie of votes, which have no accuracy" if ties else "")


def _few(labelled: pd.DataFrame, space: LabelSpace, split: str = KFOLD) -> list[str]:
    """Return a sentence if there are few clips to score: of votes, ties are not among them."""
    n = len(scored(labelled, space))
    if not 0 < n < FEW_CLIPS:
        return []
    one, rest = ("clip", " with a class") if space.kind == "votes" else ("labelled clip", "")
    clips = f"{n} {one}{'s' if n > 1 else ''}{rest}"
    if not space.has_one_class:
        return [f"{split} has only {clips}: a single clip changes scores much."]
    return [f"{split} has only {clips}: one clip is {100 / n:.0f} points of accuracy."]


def _people(table: pd.DataFrame, recipe: Mapping[str, Any], protocol: Protocol) -> list[str]:
    if protocol.kind == KFOLD:
        space = of_recipe(recipe)
        used = split_clips(table, protocol, space)
        by = f"stratified by {rule(space)}" if used.by == "class" else f"by {used.by}"
        made, part = f"The {used.folds} folds are {by}.", "fold"
        clips = table.iloc[used.train_idx].assign(part=used.fold)
    else:
        made, part = recipe["split_rule"], "split"
        clips = table.assign(part=table["split"].where(~table["split"].isin(protocol.learned), "train"))
    known = clips[clips["subject"] != ""]
    if known.empty:
        return [made, f"The people in the clips are not known: the same person may be in several {part}s."]
    parts_of = known.groupby("subject")["part"].agg(set)
    n, seen_in = len(parts_of), {"train"} if part == "split" else set()  # val and test may share people
    shared = sorted(parts_of.index[[len(parts) > 1 and seen_in <= parts for parts in parts_of]])
    missing = len(clips) - len(known)
    unknown = f"; {missing} clip{'s have' if missing > 1 else ' has'} no known person" if missing else ""
    if shared:
        are = f"{len(shared)} of {n} people {'is' if len(shared) == 1 else 'are'} in several {part}s"
        return [made, f"{are} ({abbreviate(shared)}): scores are of people that the models have seen{unknown}."]
    if (parts_of.map(len) > 1).any():
        return [made, f"{n} people, of whom nobody is in train and in another split{unknown}."]
    return [made, f"{f'{n} people, each' if n > 1 else '1 person'} in one {part}{unknown}."]


def _groups(results: Results) -> list[str]:
    made = []
    for split in results.splits:
        groups, unit = results.groups(split)
        n = len(set(groups))
        one, several = UNITS[unit]
        if n < FEWEST_GROUPS:
            of_others = ", so nothing can be said of other people" if unit == SUBJECT_UNIT else ""
            made.append(f"{split} has {n} {one if n == 1 else several}: too few for an interval{of_others}.")
        elif unit == CLIP_UNIT:
            made.append(f"Intervals and tests of {split} are over G = {n} clips, as if they were independent.")
        elif n < FEWEST_TO_FLIP:
            made.append(f"Intervals of {split} are over G = {n} {several}; tests are by clip and ignore the groups.")
        else:
            made.append(f"Intervals and tests of {split} are over G = {n} {several}.")
    return made


def _in_sample(recipe: Mapping[str, Any]) -> list[str]:
    made = []
    if recipe["selected_on_val"]:
        names = ", ".join(recipe["selected_on_val"])
        made.append(f"Selected on val, so their scores on val are in-sample and optimistic: {names}.")
    if recipe["learned_here"] and recipe["protocol"]["kind"] == KFOLD:
        made.append(
            f"{', '.join(recipe['learned_here'])}: trained on this corpus. A clip's vectors are from a network that "
            "was trained without the clip, but fusion was fitted on vectors of networks that saw it, so the scores of "
            "their models may be optimistic."
        )
    return made


def _met(results: Results) -> list[str]:
    """Return, for each reported split with clips that weights were trained on, both scores of the run's answer."""
    made, first = [], primary(results.space)
    for split in results.splits:
        met = {name: model for name, model in results.models.items() if model.on(split)["clip"].isin(model.met).any()}
        if not met:
            continue
        model = met.get("ensemble") or max(met.values(), key=lambda one: one.score(split))
        part, score = model.on(split), shown(first, model.score(split))
        others = unseen.scores(part, model.met, results.groups(split)[0], results.space)
        n = len(part) - others["unseen"]
        text = f"Weights of {model.name} were trained on {n} of {len(part)} {split} clips, or on their people: "
        if others["unseen"]:
            new = shown(first, others[f"unseen_{first.key}"])
            if results.space.has_one_class:
                text += f"it is correct on {score} of all and on {new} of the other {others['unseen']}. "
            else:
                text += f"its {first.name} is {score} on all and {new} on the other {others['unseen']}. "
            text += "tables/results.md has both for each model."
        else:
            of_all = f"its {score} say" if results.space.has_one_class else f"its {first.name} of {score} says"
            text += f"{of_all} nothing about new clips."
        made.append(text)
    return made


def _chance(results: Results) -> list[str]:
    made = []
    for split in results.splits:
        labels = next(iter(results.models.values())).on(split)["label"]
        if not results.space.has_one_class:
            made.append(f"{BY_CHANCE} {chance_sentence(labels, results.space, split)}")
            continue
        (_, (chance, _)), (majority, (share, _)) = baselines(labels).items()
        name = majority.partition("(")[2].rstrip(")")
        made.append(f"{BY_CHANCE} a guess is correct on {chance:.1%} of {split}, and always {name} on {share:.1%}.")
    return made


def _headline(results: Results, compared: pd.DataFrame) -> list[str]:
    if not results.splits:
        return ["In short: no reported clip has a label, so there is nothing to score."]
    split, first = "val" if "val" in results.splits else results.splits[0], primary(results.space)
    chosen = _chosen(compared[(compared["split"] == split) & compared["difference"].notna()])
    if chosen is None:
        return [_best(results, split)]
    by = f"{amount(first, chosen.difference)} on {split}"
    if not pd.isna(chosen.low):
        bound = shape(first, "+").format
        by += f", 95 % interval {bound(chosen.low)} to {bound(chosen.high)}"
    verdicts = {
        "higher": f"{chosen.model} is better than {chosen.against}",
        "lower": f"{chosen.model} is worse than {chosen.against}",
    }
    verdict = verdicts.get(
        str(chosen.verdict).partition(";")[0], f"{chosen.model} is not shown to beat {chosen.against}"
    )
    return [f"In short: {verdict} ({by})."]


def _best(results: Results, split: str) -> str:
    """Return the sentence on the best model of a split, where no models are compared."""
    best: Model = max(results.models.values(), key=lambda model: model.score(split))
    n, first = len(best.on(split)), primary(results.space)
    if results.space.has_one_class:
        return f"In short: {best.name} is correct on {best.correct(split).sum()} of {n} {split} clips."
    return f"In short: {best.name} has a {first.name} of {shown(first, best.score(split))} on {n} {split} clips."


def _chosen(rows: pd.DataFrame) -> Any | None:
    """Return the comparison that stands for the run: the primary one, else the ensemble's, else the first."""
    for wanted in (rows[rows["kind"] == PRIMARY], rows[rows["model"] == "ensemble"], rows):
        if len(wanted):
            return next(wanted.itertuples())
    return None


def markdown(lines: Sequence[str]) -> str:
    """Return the sentences as a Markdown section."""
    return "\n".join([HEADING, "", *(f"- {line}" for line in lines), ""])
