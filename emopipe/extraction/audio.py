"""Vectors of clips' sound: a clip of any length goes through the network whole."""

from collections.abc import Iterator

import numpy as np

from emopipe.backbones.extractor import Extractor
from emopipe.sound import read_wave
from emopipe.spectra import spectrum
from emopipe.store import OK, Reader, Row


def rows(media: Reader, clips: Iterator[str], network: Extractor, _batch: int) -> Iterator[Row]:
    """Rows in the order of `clips`."""
    for clip in clips:
        wave = read_wave(media, clip)
        if len(wave):
            yield _row(media, clip, wave, network)
        else:
            yield Row(clip, media.digest[clip], media.status[clip], media.reason[clip], {})


def _row(media: Reader, clip: str, wave: np.ndarray, network: Extractor) -> Row:
    picture = spectrum(wave, network.spec.input.options)  # (C, F, T)
    fold = network.fold_of(clip)
    vectors = network.embed(fold, picture[None])[0]  # (T', D)
    times = network.patch_times(picture.shape[-1]) + media.field(clip, "audio_start")[0]
    mask = np.ones(len(times), bool)
    arrays = {"x": vectors, "time": times, "mask": mask, "fold": np.array([fold], np.int32)}
    return Row(clip, media.digest[clip], OK, "", arrays)
