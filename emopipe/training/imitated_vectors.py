"""The vectors of a trained audio network that another network imitates (`emopipe.training.imitation`)."""

from collections.abc import Sequence

import librosa
import numpy as np

from emopipe.backbones import registry
from emopipe.backbones.base import WaveInput
from emopipe.core.log import Progress
from emopipe.media.decoded import AUDIO_RATE
from emopipe.media.spectrogram import compute_spectrogram
from emopipe.media.wave import as_wave
from emopipe.training.phase_options import ImitationOptions


def vectors(waves: Sequence[np.ndarray], options: ImitationOptions, *, device: str, threads: int) -> np.ndarray:
    """Return mean and standard deviation over time of a network's vectors of each utterance.

    Args:
        waves: (samples,) int16 at 16 kHz each.
        options: The network.
        device: Where it runs: auto, cpu or cuda.
        threads: CPU threads.

    Returns:
        (n, 2 D) float32.
    """
    kind, given, _ = registry.resolve("imitate", options.kind, options.options)
    own = registry.options_class(kind).model_validate(given)
    takes = registry.spec(kind, own).input
    network = registry.build(kind, own, device=device, threads=threads)
    progress, found = Progress("imitated network", len(waves), unit="utterances"), []
    for wave in map(as_wave, waves):
        if isinstance(takes, WaveInput):
            sound = librosa.resample(wave, orig_sr=AUDIO_RATE, target_sr=takes.rate, res_type="soxr_hq")
        else:
            sound = compute_spectrogram(wave, takes.options)
        (x,) = network(sound[None])  # (T', D)
        found.append(np.concatenate([x.mean(0), x.std(0)]))
        progress.advance()
    return np.stack(found).astype(np.float32)
