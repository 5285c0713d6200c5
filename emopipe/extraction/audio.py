"""Vectors of clips' sound: a clip of any length goes through the network whole."""

from collections.abc import Iterator

import numpy as np

from emopipe.backbones.extractor import Extractor
from emopipe.extraction import views
from emopipe.sound import read_wave
from emopipe.spectra import spectrum
from emopipe.store import OK, Reader, Row


def rows(media: Reader, clips: Iterator[str], network: Extractor, _batch: int, view: str) -> Iterator[Row]:
    """Rows in the order of `clips`, of a view of them; an empty name is the plain one."""
    for clip in clips:
        wave = read_wave(media, clip)
        if len(wave):
            yield _row(media, clip, views.of_wave(wave, view, clip), network, views.speed(view))
        else:
            yield Row(clip, media.digest[clip], media.status[clip], media.reason[clip], {})


def _row(media: Reader, clip: str, wave: np.ndarray, network: Extractor, speed: float) -> Row:
    picture = spectrum(wave, network.spec.input.options)  # (C, F, T)
    fold = network.fold_of(clip)
    vectors = network.embed(fold, picture[None])[0]  # (T', D)
    times = network.patch_times(picture.shape[-1]) * speed + media.field(clip, "audio_start")[0]
    mask = np.ones(len(times), bool)
    arrays = {"x": vectors, "time": times, "mask": mask, "fold": np.array([fold], np.int32)}
    return Row(clip, media.digest[clip], OK, "", arrays)
