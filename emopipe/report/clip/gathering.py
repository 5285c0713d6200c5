"""Gather what is known of clips of a finished run from its results and its cache; each file is opened once."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.cache.store import DROPPED, Reader
from emopipe.core import tables
from emopipe.core.errors import CacheError, CorpusError
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.core.text import escape_text
from emopipe.report.answer import ENSEMBLE
from emopipe.report.clip.story import Attention, ClipStory, Media, Stage, Track, Vote
from emopipe.report.run_labels import OTHERS, of_run, with_labels_of_run
from emopipe.scoring import predictions

TIME = "@time"
"""`emopipe.fusion.attention_weights.TIME`; importing it from there would load torch, which takes seconds."""
MOST_NEAR = 5
"""How many ids an error names at most."""


@dataclass(frozen=True)
class Sources:
    """The files that say something about the clips of a run; all but the ledger may be missing."""

    results: Path
    """The folder `results/<run>`."""
    clips: Path
    """The clip table."""
    media: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """Preset of decode -> its shards; none if the cache does not hold them."""
    faces: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """Preset of faces -> its shards; none if the cache does not hold them."""
    presets: Mapping[str, str] = field(default_factory=dict)
    """Backbone -> the preset that it reads: of faces, or of decode for sound."""
    space: LabelSpace = BASIC7
    """The label space of the run."""


@dataclass
class _Gathered:
    """What has been found so far, by clip."""

    media: dict[str, dict[str, Media]]
    faces: dict[str, dict[str, Track]]
    votes: dict[str, list[Vote]]
    attention: dict[str, list[Attention]]
    notes: dict[str, list[str]]


def gather(clips: Sequence[str], sources: Sources, *, faces: bool = True) -> dict[str, ClipStory]:
    """Return what is known of clips. A file that is missing or damaged becomes a note of the clips.

    Args:
        clips: Ids of clips of the run.
        sources: The files.
        faces: Whether to read the pictures: sampled frames and crops of faces. Boxes and times are read in any case.

    Returns:
        Clip id -> its story, in the order of `clips`.

    Raises:
        CorpusError: The run does not have one of the clips; the message names ids that are similar.
        CacheError: The run has no ledger.
    """
    clips = list(dict.fromkeys(clips))
    stages = _stages(clips, sources)
    found = _Gathered(*({clip: {} for clip in clips} for _ in range(2)), *({clip: [] for clip in clips} for _ in "abc"))
    _read_shards(sources.media, clips, found, lambda *of: _read_media(*of, found, faces), "The frames and the sound")
    _read_shards(sources.faces, clips, found, lambda *of: _read_track(*of, found, faces), "The faces")
    for model in _models(sources.results):
        _read_votes(model, clips, sources, found)
        _read_attention(model, clips, sources, found)
    rows = _rows(clips, sources, found)
    return {
        clip: ClipStory(
            clip,
            rows[clip],
            stages[clip],
            found.media[clip],
            found.faces[clip],
            _sorted(found.votes[clip], rows[clip].get("label", "")),
            found.attention[clip],
            list(dict.fromkeys(found.notes[clip])),
            sources.space,
        )
        for clip in clips
    }


def clips_of(results: Path) -> list[str]:
    """Return the ids of all clips of a run, sorted.

    Raises:
        CacheError: The run has no ledger.
    """
    return sorted(set(_ledger(results)["clip"]))


def _ledger(results: Path) -> pd.DataFrame:
    if not (path := results / "ledger.csv").is_file():
        raise CacheError(f"{path} does not exist. The last step of a run writes it. Finish the run, then try again.")
    return tables.read(path)


def _stages(clips: Sequence[str], sources: Sources) -> dict[str, list[Stage]]:
    """Return clip -> its statuses; unknown clips are refused."""
    ledger = _ledger(sources.results)
    known = sorted(set(ledger["clip"]))
    for clip in sorted({*clips}.difference(known))[:1]:
        near = difflib.get_close_matches(clip, known, MOST_NEAR) or [n for n in known if clip in n][:MOST_NEAR]
        hint = f"Similar ids: {', '.join(near)}" if near else f"Its first ids: {', '.join(known[:MOST_NEAR])}"
        raise CorpusError(
            f"The run {sources.results.resolve().name} has no clip with the id {escape_text(clip)}. It has "
            f"{len(known)} clips. {hint}. All ids are in {sources.results / 'ledger.csv'}."
        )
    of_clips = ledger[ledger["clip"].isin(clips)]
    stages: dict[str, list[Stage]] = {clip: [] for clip in clips}
    for clip, *rest in of_clips[["clip", "stage", "status", "reason"]].itertuples(index=False):
        stages[clip].append(Stage(*rest))
    return stages


def _rows(clips: Sequence[str], sources: Sources, found: _Gathered) -> dict[str, dict[str, str]]:
    """Return clip -> its row of the clip table, with the label of the run; without the table, its split and label."""
    try:
        table = tables.read(sources.clips)
        table, changed = with_labels_of_run(table[table["clip"].isin(clips)], sources.results, sources.space)
        rows = {row["clip"]: row for row in table.to_dict("records")}
        for clip in changed:
            found.notes[clip].append(f"{sources.clips} {OTHERS}")
    except FileNotFoundError:
        rows, why = {}, f"{sources.clips} does not exist, so the path and the person are unknown."
    except CacheError as error:
        rows, why = {}, str(error)
    if missing := [clip for clip in clips if clip not in rows]:
        why = why if not rows else f"{sources.clips} does not have the clip any more, so its path is unknown."
        rows |= _rows_without_table(missing, sources)
        for clip in missing:
            found.notes[clip].append(why)
    return rows


def _rows_without_table(clips: Sequence[str], sources: Sources) -> dict[str, dict[str, str]]:
    ledger = _ledger(sources.results).drop_duplicates("clip").set_index("clip")
    rows = {clip: {"clip": clip, "split": ledger.at[clip, "split"]} for clip in clips}
    labels = of_run(sources.results, sources.space)["label"].to_dict()
    for clip in (clip for clip in clips if clip in labels):
        rows[clip]["label"] = labels[clip]
    return rows


# -- the cache ---------------------------------------------------------------------------------------------------


def _read_shards(
    presets: Mapping[str, Sequence[Path]],
    clips: Sequence[str],
    found: _Gathered,
    read: Callable[[Reader, str, str], None],
    what: str,
) -> None:
    """Call `read(reader, preset, clip)` for each clip in the shards of each preset; note what cannot be read."""
    for preset, shards in presets.items():
        without, faults = set(clips), []
        for path in shards:
            try:
                with Reader(path) as reader:
                    for clip in (each for each in clips if each in reader):
                        read(reader, preset, clip)
                        without.discard(clip)
            except CacheError as error:
                faults.append(str(error))
        why = " ".join(faults) or (
            f"{what} of the preset {preset} are not in the cache: they were not kept (keep_media: false), or were "
            "deleted later."
        )
        for clip in without:
            found.notes[clip].append(why)


def _read_media(reader: Reader, preset: str, clip: str, found: _Gathered, pictures: bool) -> None:
    start = reader.field(clip, "audio_start")
    frames = _pictures(reader, clip, "jpeg", "The sampled frames", found) if pictures else []
    audio = reader.field(clip, "audio")
    found.media[clip][preset] = Media(reader.field(clip, "time"), frames, audio, float(start[0]) if len(start) else 0.0)


def _read_track(reader: Reader, preset: str, clip: str, found: _Gathered, pictures: bool) -> None:
    time, mask = reader.field(clip, "time"), reader.field(clip, "mask")
    rows = {name: reader.field(clip, name) for name in ("box", "landmarks", "score")}
    # A clip without any face has times and a mask alone.
    filled = {name: rows[name] if len(rows[name]) else _nan(len(time), rows[name]) for name in rows}
    tracks = reader.field(clip, "all_track")
    found.faces[clip][preset] = Track(
        time,
        mask,
        **filled,
        crops=_pictures(reader, clip, "crop", "The crops of faces", found) if pictures else [],
        all_frame=reader.field(clip, "all_frame"),
        all_box=reader.field(clip, "all_box"),
        tracks=len(set(tracks[tracks >= 0].tolist())),
    )


def _nan(count: int, like: np.ndarray) -> np.ndarray:
    return np.full((count, *like.shape[1:]), np.nan, like.dtype)


def _pictures(reader: Reader, clip: str, name: str, what: str, found: _Gathered) -> list[bytes]:
    """Return a clip's pictures as JPEG."""
    if name in reader.attributes.get(DROPPED, "").split():
        found.notes[clip].append(f"{what} are not in the cache: `emopipe cache --faces` dropped them.")
        return []
    ends = np.cumsum(reader.field(clip, f"{name}_size"))
    data = reader.field(clip, name)
    return [part.tobytes() for part in np.split(data, ends[:-1])] if len(ends) else []


# -- the results -------------------------------------------------------------------------------------------------


def _models(results: Path) -> list[str]:
    return sorted({path.stem for folder in ("predictions", "oof") for path in (results / folder).glob("*.csv")})


def _table(results: Path, folder: str, model: str, clips: Sequence[str]) -> pd.DataFrame:
    """Return the rows of clips in one table of predictions; none if there is no such table."""
    path = results / folder / f"{model}.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["clip"])
    table = predictions.read(path)
    return table[table["clip"].isin(clips)]


def _read_votes(model: str, clips: Sequence[str], sources: Sources, found: _Gathered) -> None:
    reported, out_of_fold, seeds = (_table(sources.results, f, model, clips) for f in ("predictions", "oof", "seeds"))
    folds = dict(zip(out_of_fold["clip"], out_of_fold.get("fold", []), strict=False))
    by_seed: dict[str, dict[str, np.ndarray]] = {clip: {} for clip in clips}
    for row in seeds.to_dict("records"):
        by_seed[row["clip"]][str(row["seed"])] = _values(row, sources.space)
    # A cross-validated run reports its training clips: they are in both tables, with the same numbers.
    rows = {row["clip"]: row for table in (out_of_fold, reported) for row in table.to_dict("records")}
    for clip, row in rows.items():
        fold = str(folds[clip]) if clip in folds else ""
        values, is_covered = _values(row, sources.space), bool(int(row["covered"]))
        vote = Vote(model, row["pred"], values, is_covered, clip in folds, fold, by_seed[clip], sources.space)
        found.votes[clip].append(vote)


def _values(row: Mapping[str, float], space: LabelSpace) -> np.ndarray:
    return np.array([row[name] for name in space.columns], float)


def _sorted(votes: Sequence[Vote], label: str) -> list[Vote]:
    """Return the run's answer first, then the others by how well they fit the label."""
    return sorted(votes, key=lambda vote: (vote.model != ENSEMBLE, -vote.fit(label), vote.model))


def _read_attention(model: str, clips: Sequence[str], sources: Sources, found: _Gathered) -> None:
    path = sources.results / "attention" / f"{model}.h5"
    if not path.is_file():  # ensembles have none
        return
    try:
        with Reader(path) as reader:
            modalities = json.loads(reader.attributes["recipe"]).get("streams", {})
            for clip in (each for each in clips if each in reader):
                for stream, time, weight in _weights(reader, clip):
                    preset = sources.presets.get(stream, "")
                    one = Attention(model, stream, modalities.get(stream, ""), preset, time, weight)
                    found.attention[clip].append(one)
    except CacheError as error:
        for clip in clips:
            found.notes[clip].append(str(error))


def _weights(reader: Reader, clip: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield stream, times and weights of the streams of which the clip has vectors."""
    for stream in reader.fields:
        if not stream.endswith(TIME) and len(weight := reader.field(clip, stream)):
            yield stream, reader.field(clip, f"{stream}{TIME}"), weight
