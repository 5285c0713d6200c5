"""What an audit reads: the clip table as it is, with copies and people in several splits, and the corpus' cache."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from emopipe import corpora
from emopipe.cache.store import Reader
from emopipe.corpora.audit.pictures import PicturePrint, picture_print, places
from emopipe.corpora.audit.sounds import sound_print
from emopipe.corpora.audit.voices import voice_print
from emopipe.corpora.digests import content_digests
from emopipe.media.wave import read_wave
from emopipe.workflow import scan
from emopipe.workflow.config import Config


@dataclass
class Prints:
    """What is compared of the clips that the cache holds."""

    pictures: dict[str, PicturePrint] = field(default_factory=dict)
    sounds: dict[str, np.ndarray] = field(default_factory=dict)
    voices: dict[str, np.ndarray] = field(default_factory=dict)
    clips: set[str] = field(default_factory=set)
    """The clips that were found in the cache, with this content."""


def clip_table(config: Config) -> pd.DataFrame:
    """Return the clip table with digests; copies and people in several splits stay, and nothing is written.

    Raises:
        CorpusError: The corpus does not have the form that its adapter expects.
    """
    if config.corpus.kind == "demo":
        return scan.clips(config)
    options = config.corpus_options
    if hasattr(options, "shared_subjects"):
        options = options.model_copy(update={"shared_subjects": "keep"})
    table = corpora.scan(config.corpus.kind, scan.clips_root(config), options, labelling=config.labelling)
    return content_digests(scan.clips_root(config), table, scan.cache_folder(config) / "digests.csv", remember=False)


def read_prints(config: Config, table: pd.DataFrame) -> Prints:
    """Return the prints of frames and sound of the clips whose media the cache holds, of one preset of `decode`.

    Raises:
        CacheError: A file of the cache is damaged.
    """
    prints = Prints()
    for preset in config.decode:
        for shard in _shards(scan.cache_folder(config) / "media" / preset):
            _read(shard, table, lambda reader, clip: _add(prints, reader, clip))
        if prints.clips:
            break
    return prints


def mean_vectors(config: Config, backbone: str, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return clip -> the mean (D,) of the vectors that the cache holds of a backbone; {} if it holds none.

    Raises:
        CacheError: A file of the cache is damaged.
    """
    folder = scan.cache_folder(config) / "features"
    merged, found = folder / f"{backbone}.h5", {}

    def add(reader: Reader, clip: str) -> None:
        mask = reader.field(clip, "mask")
        vectors = reader.field(clip, "x")[mask]
        vectors = vectors[np.isfinite(vectors).all(1)]
        if len(vectors):
            found[clip] = vectors.mean(0)

    for path in [merged] if merged.is_file() else _shards(folder / backbone):
        _read(path, table, add)
    return found


def _read(path: Path, table: pd.DataFrame, add: Callable[[Reader, str], None]) -> None:
    """Call `add` for each clip of a file that is in the table with the same content."""
    digests = dict(zip(table["clip"], table["digest"], strict=True))
    with Reader(path) as reader:
        for clip in reader.clips:
            if digests.get(clip) == reader.digest[clip]:
                add(reader, clip)


def _add(prints: Prints, reader: Reader, clip: str) -> None:
    prints.clips.add(clip)
    shown = picture_print(_grey_frames(reader, clip))
    wave = read_wave(reader, clip)
    heard, voice = sound_print(wave), voice_print(wave)
    if shown is not None:
        prints.pictures[clip] = shown
    if heard is not None:
        prints.sounds[clip] = heard
    if voice is not None:
        prints.voices[clip] = voice


def _grey_frames(reader: Reader, clip: str) -> list[np.ndarray]:
    """Return the frames that are compared, (H, W) uint8; those that do not decode are omitted."""
    jpegs, ends = reader.field(clip, "jpeg"), np.cumsum(reader.field(clip, "jpeg_size"))
    parts = np.split(jpegs, ends[:-1]) if len(ends) else []
    frames = [cv2.imdecode(parts[place], cv2.IMREAD_GRAYSCALE) for place in places(len(parts))]
    return frames if all(frame is not None for frame in frames) else []


def _shards(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.h5")) if path.stem.isdigit()]
