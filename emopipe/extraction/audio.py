"""Vectors of clips' sound: a clip of any length goes through the network whole."""

import functools
from collections.abc import Iterator

import librosa
import numpy as np

from emopipe.backbones.base import AudioInput, WaveInput
from emopipe.cache.failures import FailurePolicy
from emopipe.cache.status import OK
from emopipe.cache.store import Reader, Row
from emopipe.extraction import views
from emopipe.extraction.extractor import Extractor
from emopipe.media.decoded import AUDIO_RATE
from emopipe.media.spectrogram import compute_spectrogram
from emopipe.media.wave import read_wave


def rows(
    media: Reader, clips: Iterator[str], network: Extractor, _batch: int, view: str, policy: FailurePolicy
) -> Iterator[Row]:
    """Rows in the order of `clips`, of a view of them; an empty name is the plain one."""
    for clip in clips:
        yield policy.row(clip, media.digest[clip], functools.partial(_row, media, clip, network, view))


def _row(media: Reader, clip: str, network: Extractor, view: str) -> Row:
    wave = read_wave(media, clip)
    if not len(wave):
        return Row(clip, media.digest[clip], media.status[clip], media.reason[clip], {})
    sound = _as_wanted(views.of_wave(wave, view, clip), network.spec.input)  # (C, F, T) or (T,)
    fold = network.fold_of(clip)
    vectors = network.embed(fold, sound[None])[0]  # (T', D)
    times = network.patch_times(sound.shape[-1]) * views.speed(view) + media.field(clip, "audio_start")[0]
    mask = np.ones(len(times), bool)
    arrays = {"x": vectors, "time": times, "mask": mask, "fold": np.array([fold], np.int32)}
    return Row(clip, media.digest[clip], OK, "", arrays)


def _as_wanted(wave: np.ndarray, wanted: AudioInput | WaveInput) -> np.ndarray:
    """The clip's wave (n,) as the network takes it in: its picture (C, F, T), or itself (T,) at the network's rate."""
    if isinstance(wanted, AudioInput):
        return compute_spectrogram(wave, wanted.options)
    return librosa.resample(wave, orig_sr=AUDIO_RATE, target_sr=wanted.rate, res_type="soxr_hq")
