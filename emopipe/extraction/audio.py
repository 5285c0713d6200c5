"""Vectors of clips' sound: the network takes a whole clip of any length at once."""

import functools
from collections.abc import Iterator

import librosa
import numpy as np

from emopipe.backbones.base import AudioInput
from emopipe.cache.clip_rows import ClipRows
from emopipe.cache.failures import FailurePolicy
from emopipe.cache.status import OK
from emopipe.cache.store import Row
from emopipe.core.ahead import ahead, thread_pool
from emopipe.extraction import views
from emopipe.extraction.extractor import Extractor
from emopipe.media.decoded import AUDIO_RATE
from emopipe.media.spectrogram import compute_spectrogram
from emopipe.media.wave import read_wave


def rows(
    media: ClipRows,
    clips: Iterator[str],
    network: Extractor,
    _batch: int,
    view: str,
    policy: FailurePolicy,
    *,
    workers: int = 1,
) -> Iterator[Row]:
    """Yield the rows of clips, in order.

    Args:
        media: A shard of the decode stage.
        clips: Ids of clips in it.
        network: An audio backbone.
        _batch: Not used; each clip is a batch.
        view: A view of `VIEWS["audio"]`; an empty name means the clip itself.
        policy: What happens if the network fails on a clip.
        workers: How many threads compute clips; the network must allow it.
    """
    tasks = ((clip, functools.partial(_row, media, clip, network, view)) for clip in clips)
    with thread_pool(workers) as pool:
        for clip, result in ahead(tasks, pool, 2 * workers):
            yield policy.row(clip, media.digest[clip], result)


def _row(media: ClipRows, clip: str, network: Extractor, view: str) -> Row:
    wave = read_wave(media, clip)
    if not len(wave):
        return Row(clip, media.digest[clip], media.status[clip], media.reason[clip], {})
    # 1. The network's input: a spectrogram (C, F, T), or the wave (T,) at its rate.
    wave, spec = views.augment_wave(wave, view, clip), network.spec.input
    if isinstance(spec, AudioInput):
        sound = compute_spectrogram(wave, spec.options)
    else:
        sound = librosa.resample(wave, orig_sr=AUDIO_RATE, target_sr=spec.rate, res_type="soxr_hq")
    # 2. Its vectors, with their times in the clip.
    fold = network.fold_of(clip)
    found = {name: one[0] for name, one in network.embed(fold, sound[None]).items()}  # (T', D), (T', K)
    times = network.patch_times(sound.shape[-1]) * views.speed_factor(view) + media.field(clip, "audio_start")[0]
    mask = np.ones(len(times), bool)
    arrays = {**found, "time": times, "mask": mask, "fold": np.array([fold], np.int32)}
    return Row(clip, media.digest[clip], OK, "", arrays)
