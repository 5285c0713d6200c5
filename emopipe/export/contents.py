"""The content of a finished run and of its cache, clip by clip, for exports. One clip at a time is in memory."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pandas as pd

from emopipe.cache.status import OK
from emopipe.cache.store import Reader
from emopipe.core import tables
from emopipe.core.errors import CacheError
from emopipe.core.labels import LabelSpace
from emopipe.core.text import abbreviate
from emopipe.export import choice
from emopipe.export.answers import Answers
from emopipe.export.cached_faces import FacesOfPreset
from emopipe.export.clip import Clip, Weights
from emopipe.export.media_facts import UNUSABLE, FrameSizes, header
from emopipe.fusion.attention_weights import TIME
from emopipe.inference.cached import CLIP_TABLE, Features
from emopipe.inference.run_results import RunResults, load_run
from emopipe.media.decoded import DecodeOptions, Span
from emopipe.media.spans import spans_of
from emopipe.report.run_labels import OTHERS, with_labels_of_run
from emopipe.workflow import config as configs
from emopipe.workflow import scan
from emopipe.workflow.config import Config


class Contents:
    """What an export reads; a context manager.

    >>> with Contents(Path("results/demo")) as contents:  # doctest: +SKIP
    ...     for clip in contents.clips():
    ...         print(clip.id, clip.answers[0].pred)
    """

    def __init__(
        self, run: Path, models: Sequence[str] = (), *, features: bool = False, needs_video: bool = False
    ) -> None:
        """Open a finished run.

        Args:
            run: `results/<run>`; its cache is `cache/<corpus>` beside `results`.
            models: The models whose predictions are wanted, see `choice.choose`.
            features: Whether the vectors of all backbones are wanted.
            needs_video: Whether frame rates and lengths are wanted, and sizes of frames that are not in the cache. The
                clips' files are then opened, where they are.

        Raises:
            CacheError: The run is not finished, or its cache is not there or not that of the run.
            ConfigError: There is no such model.
        """
        self.results: RunResults = load_run(run)
        self._work = run.resolve().parents[1]
        self.config: Config = configs.parse_again(self.results.config)
        self.space: LabelSpace = self.config.label_space
        self.models = choice.choose(self.results, models)
        self.root = self._work / scan.clips_root(self.config)
        """The folder to which the clips' paths are relative."""
        self._cache = self._work / scan.cache_folder(self.config)
        ledger = tables.read(run / "ledger.csv")  # as texts: an id may be 007
        self._stages = list(dict.fromkeys(ledger["stage"]))
        table = _table(self._cache, self.results.name, ledger)
        self._table, changed = with_labels_of_run(table, self.results.folder, self.space)
        self._needs_features, self._needs_video = features, needs_video
        self.remarks: list[str] = [f"{self._cache / CLIP_TABLE} {OTHERS}"] if changed else []
        """What the user should know of what is missing or has changed, one sentence each."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._answers = [Answers(self.results.folder, name, self.space) for name in self.models]
        self._attention = {
            name: self._stack.enter_context(Reader(self.results.folder / "attention" / f"{name}.h5"))
            for name in choice.with_attention(self.results.folder, self.models)
        }
        self._faces = [self._stack.enter_context(self._preset(name)) for name in self.config.faces]
        for faces in self._faces:
            if faces.is_empty:
                self.remarks.append(f"The cache has no faces of the preset {faces.preset}, so its tracks are omitted.")
        self._features = {name: Features(path) for name, path in self._feature_files().items()}
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def backbones(self) -> dict[str, int]:
        """Backbone -> how many numbers its vectors have; empty if features are not wanted."""
        return {name: found.dim for name, found in self._features.items()}

    def __len__(self) -> int:
        return len(self._table)

    def clips(self) -> Iterator[Clip]:
        """Yield all clips of the run, by their ids, those that failed too."""
        for row, span in zip(self._table.itertuples(index=False), spans_of(self._table), strict=True):
            yield self._clip(row, span)

    def _clip(self, row: Any, span: Span | None) -> Clip:
        """Return a clip from its row of the table (clip, path, ...), and the part of its file that it is."""
        clip, path = row.clip, self.root / row.path
        return Clip(
            id=clip,
            path=row.path,
            start=span.start if span else None,
            end=span.end if span and math.isfinite(span.end) else None,
            split=row.split,
            label=row.label,
            subject=row.subject,
            status=row.status,
            reason=row.reason,
            answers=[answer for found in self._answers if (answer := found.of(clip)) is not None],
            faces=[found for each in self._faces if (found := each.of(clip, path, span)) is not None],
            attention=[part for name in self._attention for part in self._weights(name, clip)],
            features={name: found[clip] for name, found in self._features.items() if clip in found.status},
            votes=self._votes(row),
            space=self.space,
            video=header(path, self._decode()) if self._needs_video and row.decode_status not in UNUSABLE else None,
        )

    def _votes(self, row: Any) -> dict[str, float]:
        """Return class -> the share of the votes of a clip; empty if there are none."""
        if self.space.kind != "votes" or not {*self.space.vote_columns} <= {*self._table.columns}:
            return {}
        given = self._table.columns.get_indexer(self.space.vote_columns)
        votes = [float(row[number] or 0) for number in given]
        return {name: count / sum(votes) for name, count in zip(self.space.names, votes, strict=True) if sum(votes)}

    def _preset(self, name: str) -> FacesOfPreset:
        decode = self.config.faces[name].decode or next(iter(self.config.decode))  # without a name, there is only one
        sizes = FrameSizes(self._cache, decode, self.config.decode[decode], decodes=self._needs_video)
        return FacesOfPreset(self._cache, name, sizes)

    def _decode(self) -> DecodeOptions:
        """Return the options by which frames are read for the first preset of faces."""
        named = [block.decode for block in self.config.faces.values() if block.decode]
        return self.config.decode[[*named, *self.config.decode][0]]

    def _weights(self, model: str, clip: str) -> Iterator[Weights]:
        reader = self._attention[model]
        for stream in reader.fields if clip in reader else ():
            if not stream.endswith(TIME):
                yield Weights(model, stream, reader.field(clip, f"{stream}{TIME}"), reader.field(clip, stream))

    def _feature_files(self) -> dict[str, Path]:
        """Return backbone -> its merged vectors, of the backbones that the run has."""
        if not self._needs_features:
            return {}
        names = [stage.removeprefix("features/") for stage in self._stages if stage.startswith("features/")]
        return {name: self._cache / "features" / f"{name}.h5" for name in names}


def _table(cache: Path, run: str, ledger: pd.DataFrame) -> pd.DataFrame:
    """Return the clips of a run: the clip table, and the status, decode_status and reason of the ledger.

    Raises:
        CacheError: There is no clip table, or clips of the run are not in it.
    """
    path = cache / CLIP_TABLE
    if not path.is_file():
        raise CacheError(
            f"{path} is missing. An export reads the run and its cache: expected results/ and cache/ side by side, as "
            "a run leaves them. Put the cache back, or run again."
        )
    table, statuses = tables.read(path), _statuses(ledger)
    if lost := sorted(set(statuses.index) - set(table["clip"])):
        raise CacheError(
            f"The clips {abbreviate(lost)} of the run {run} are not in {path}: the cache has been made from "
            "another state of the corpus since. Run again with this config, then export."
        )
    return table.merge(statuses, left_on="clip", right_index=True, how="inner")


def _statuses(ledger: pd.DataFrame) -> pd.DataFrame:
    """Return clip -> status (the first that is not ok), decode_status, and reason (all different ones)."""
    rows: dict[str, dict[str, str]] = {}
    texts: dict[str, dict[str, None]] = {}
    for clip, stage, status, why in zip(*(ledger[name] for name in ("clip", "stage", "status", "reason")), strict=True):
        row = rows.setdefault(clip, {"status": OK, "decode_status": OK})
        if row["status"] == OK:
            row["status"] = status
        if row["decode_status"] == OK and stage.partition("/")[0] == "decode":
            row["decode_status"] = status
        said = texts.setdefault(clip, {})
        if why:
            said[f"{status}: {why}"] = None
    for clip, row in rows.items():
        row["reason"] = " ".join(texts[clip])
    return pd.DataFrame.from_dict(rows, orient="index", columns=["status", "decode_status", "reason"])
