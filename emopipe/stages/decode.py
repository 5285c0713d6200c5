"""Stage decode: a shard's clips -> sampled frames (JPEG), their times, 16 kHz mono sound, status."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from emopipe.cache.failures import FailurePolicy
from emopipe.cache.incremental import Output, making
from emopipe.cache.rows_ahead import rows_ahead
from emopipe.cache.status import UNREADABLE
from emopipe.cache.store import Row, Writer
from emopipe.core import tables
from emopipe.core.ahead import thread_pool
from emopipe.core.errors import MediaError
from emopipe.core.log import Progress
from emopipe.media import rows
from emopipe.media.decoded import DecodeOptions, Media, Span
from emopipe.media.frame_folders import RATE, played
from emopipe.media.pairs import SOUND_FILE, with_sound_of
from emopipe.media.sandbox import ClipReader
from emopipe.media.spans import in_order, spans_of


def run(
    recipe: Mapping[str, Any],
    root: Path,
    shard: Path,
    output: Path,
    status_file: Path,
    *,
    on_failure: str = "keep_going",
    retries: int = 0,
) -> None:
    """Decode the clips of one shard.

    Args:
        recipe: `Plan.decode`; its `options` define how frames are sampled.
        root: The corpus' folder, to which the shard's paths are relative.
        shard: The shard's clip table.
        output: The file to make; unchanged clips that it already holds are reused.
        status_file: A file to make with the clips' statuses alone; it is kept if `output` is temporary.
        on_failure: If a clip's file cannot be read, `keep_going` records this in a row; `stop` ends the job.
        retries: How often unreadable clips were retried (`emopipe.workflow.retry`).

    Raises:
        MediaError: A clip's file cannot be read and `on_failure` is `stop`, or all of many clips cannot be read.
    """
    table = in_order(tables.read(shard))
    options = DecodeOptions.model_validate(recipe["options"])
    policy = FailurePolicy(on_failure)
    progress = Progress(f"decode {output.stem}", len(table))
    with (
        making(output, rows.FIELDS, stage="decode", recipe=recipe) as media,
        Writer(status_file, {}, stage="decode", recipe=recipe) as statuses,
        thread_pool(1) as pool,  # a clip is decoded while the one before it is written
        ClipReader(options) as read,
    ):
        work = (
            (clip.clip, clip.digest, functools.partial(_row, clip, root, reading))
            for clip, reading in _readings(table, root, read, media)
        )
        for row in rows_ahead(media, work, policy, pool, 1):
            statuses.add(replace(row, arrays={}))
            progress.advance()
        policy.check(media.taken)
        statuses.note(attempt=retries)


def _readings(
    table: pd.DataFrame, root: Path, read: ClipReader, media: Output
) -> Iterator[tuple[Any, Callable[[], Media]]]:
    """Yield each clip with what decodes it. Parts of one file are decoded in one pass, without those made earlier."""
    clips = zip(table.itertuples(), spans_of(table), strict=True)
    for (path, is_part), group in itertools.groupby(clips, lambda item: (item[0].path, item[1] is not None)):
        together = list(group)
        missing = [item for item in together if not is_part or media.earlier(item[0].clip, item[0].digest) is None]
        readings = read.readings([(root / path, span) for _, span in missing])
        decodes = {
            clip.clip: _decoding(clip, span, root, read, reading)
            for (clip, span), reading in zip(missing, readings, strict=True)
        }
        yield from ((clip, decodes.get(clip.clip)) for clip, _ in together)


def _decoding(
    clip: Any, span: Span | None, root: Path, read: ClipReader, reading: Callable[[], Media]
) -> Callable[[], Media]:
    """Return what decodes a clip; `reading` decodes its own file."""
    sound = getattr(clip, SOUND_FILE, "")
    if how := played(root, getattr(clip, RATE, ""), sound):
        return functools.partial(read, root / clip.path, span, how)
    return with_sound_of(reading, read, root / sound if sound else None)


def _row(clip: Any, root: Path, reading: Callable[[], Media]) -> Row:
    if clip.digest == UNREADABLE:
        raise MediaError(root / clip.path, "it could not be read when the corpus was scanned")
    return rows.row(clip.clip, clip.digest, reading())
