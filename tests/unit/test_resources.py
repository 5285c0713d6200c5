"""What pretraining asks a cluster for: by what it holds and how often it looks, not by the files that it reads."""

import numpy as np
import pytest

from emopipe.backbones import registry
from emopipe.cache.store import Row, Writer
from emopipe.media.decoded import DecodeOptions
from emopipe.media.spectrogram import RATE
from emopipe.stages import decode
from emopipe.training.audio_clips import Sounds
from emopipe.training.face_clips import Faces
from emopipe.training.options import PretrainOptions
from emopipe.workflow import training_needs
from tests.unit.test_pretraining import FACE, write_faces

SIXTEEN = DecodeOptions(policy="count", count=16)


def spec(kind, **options):
    return registry.spec(kind, registry.options_class(kind).model_validate(options))


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (SIXTEEN, 16),
        (DecodeOptions(policy="count", count=16, max_frames=8), 8),
        (DecodeOptions(policy="fps", fps=5), 30),
        (DecodeOptions(policy="all"), 180),
        (DecodeOptions(policy="all", max_frames=100), 100),
    ],
)
def test_frames_of_a_clip(preset, expected):
    assert training_needs.frames(preset) == expected


def test_faces_take_what_is_foreseen(tmp_path):
    write_faces(tmp_path / "0.h5", ["a"], np.random.default_rng(0))  # three
    face = spec("expression", **FACE["options"])
    held = Faces([tmp_path / "0.h5"], ["a"], face.input)._pixels.nbytes
    assert training_needs.held_megabytes(1, face, DecodeOptions(policy="count", count=3)) == held / 1e6


@pytest.mark.parametrize("kind", ["logmel", "spectrogram"])
def test_sound_takes_what_is_foreseen(tmp_path, kind):
    with Writer(tmp_path / "0.h5", decode.FIELDS, stage="decode", recipe={}) as writer:
        wave = (
            np.random.default_rng(0).integers(-9999, 9999, round(training_needs.CLIP_SECONDS * RATE)).astype(np.int16)
        )
        writer.add(Row("a", "d", "ok", "", {"audio": wave, "audio_start": np.zeros(1)}))
    voice = spec("audio_alexnet", spectrum={"kind": kind})
    (spectrogram,) = Sounds([tmp_path / "0.h5"], ["a"], voice.input, 2.5)._spectrograms
    assert training_needs.held_megabytes(1, voice, SIXTEEN) == pytest.approx(spectrogram.nbytes / 1e6, rel=0.01)


def test_what_is_seen_is_counted_anew_in_every_epoch_of_every_network():
    options = PretrainOptions(folds=3, epochs=5)
    assert training_needs.seen(10, spec("expression"), SIXTEEN, options) == 10 * 16 * 5 * 4
    assert training_needs.seen(10, spec("audio_alexnet", spectrum={"kind": "logmel"}), SIXTEEN, options) == 10 * 5 * 4


def test_a_hundred_thousand_clips_fit_a_cluster():
    face, voice = spec("expression", size=112), spec("audio_alexnet", spectrum={"kind": "logmel"})
    assert training_needs.held_megabytes(100_000, face, SIXTEEN) < 100_000
    assert training_needs.held_megabytes(100_000, voice, SIXTEEN) < 30_000
