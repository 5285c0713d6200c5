"""What pretraining asks a cluster for: by the samples that it holds and counts, not by the files that it reads."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from snakemake.iocontainers import Wildcards

from emopipe.backbones import registry
from emopipe.cache.store import Row, Writer
from emopipe.media.decoded import DecodeOptions
from emopipe.media.spectrogram import RATE
from emopipe.stages import decode
from emopipe.training.audio_clips import Sounds
from emopipe.training.face_clips import Faces
from emopipe.training.options import PretrainOptions
from emopipe.workflow import config as configs
from emopipe.workflow import resources
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
    assert resources.frames(preset) == expected


def test_faces_take_what_is_foreseen(tmp_path):
    write_faces(tmp_path / "0.h5", ["a"], np.random.default_rng(0))  # three
    face = spec("expression", **FACE["options"])
    held = Faces([tmp_path / "0.h5"], ["a"], face.input)._pixels.nbytes
    assert resources.samples_megabytes(1, face, DecodeOptions(policy="count", count=3)) == held / 1e6


@pytest.mark.parametrize("kind", ["logmel", "spectrogram"])
def test_sound_takes_what_is_foreseen(tmp_path, kind):
    with Writer(tmp_path / "0.h5", decode.FIELDS, stage="decode", recipe={}) as writer:
        wave = np.random.default_rng(0).integers(-9999, 9999, round(resources.CLIP_SECONDS * RATE)).astype(np.int16)
        writer.add(Row("a", "d", "ok", "", {"audio": wave, "audio_start": np.zeros(1)}))
    voice = spec("audio_alexnet", spectrum={"kind": kind})
    (spectrogram,) = Sounds([tmp_path / "0.h5"], ["a"], voice.input, 2.5)._spectrograms
    assert resources.samples_megabytes(1, voice, SIXTEEN) == pytest.approx(spectrogram.nbytes / 1e6, rel=0.01)


def test_samples_are_counted_again_in_every_epoch_of_every_network():
    options = PretrainOptions(folds=3, epochs=5)
    assert resources.samples_trained_on(10, spec("expression"), SIXTEEN, options) == 10 * 16 * 5 * 4
    assert (
        resources.samples_trained_on(10, spec("audio_alexnet", spectrum={"kind": "logmel"}), SIXTEEN, options)
        == 10 * 5 * 4
    )


def test_a_hundred_thousand_clips_fit_a_cluster():
    face, voice = spec("expression", size=112), spec("audio_alexnet", spectrum={"kind": "logmel"})
    assert resources.samples_megabytes(100_000, face, SIXTEEN) < 100_000
    assert resources.samples_megabytes(100_000, voice, SIXTEEN) < 30_000


PLAN = SimpleNamespace(
    table=pd.DataFrame({"split": ["train", "train", "val", "test"]}),
    shard_table=lambda shard: pd.DataFrame({"split": ["train"] * int(shard)}),
)


def test_memory_grows_with_clips_input_and_attempts():
    known = resources.Estimates(PLAN)
    shard, whole, read = Wildcards(fromdict={"shard": "3"}), Wildcards(), SimpleNamespace(size_mb=7)
    assert known.memory(1000)(whole, None, 1) == 1000  # the input may not exist yet
    assert known.memory(1000, per_clip=0.5)(whole, None, 1) == 1002
    assert known.memory(1000, per_clip=0.5)(shard, None, 2) == 2 * 1002  # 1001.5, rounded up
    assert known.memory(1000, per_input=4, held=lambda wildcards: 10)(whole, read, 3) == 3 * 1038
    assert known.memory(1000)(whole, None, 1000) == 250_000


def test_minutes_grow_with_clips_and_attempts():
    known = resources.Estimates(PLAN)
    assert known.minutes(30, per_clip=30)(Wildcards(fromdict={"shard": "3"}), 1) == 32  # 31.5, rounded up
    assert known.minutes(30, per_clip=30, seconds=lambda wildcards: 60)(Wildcards(), 2) == 2 * 33
    assert known.minutes(30)(Wildcards(), 1000) == 2880


@pytest.mark.parametrize(("name", "count"), [("face", 2 * 16 * 5 * 4), ("voice", 2 * 5 * 4)])
def test_pretraining_is_computed_from_the_training_clips(name, count):
    config = configs.parse(
        {
            "run": "x",
            "corpus": {"name": "c", "kind": "demo"},
            "decode": {"sixteen": SIXTEEN.model_dump()},
            "faces": {"main": {"detector": "mtcnn"}},
            "backbones": {
                "face": {"kind": "expression", "pretrain": {"epochs": 5}},
                "voice": {"kind": "audio_alexnet", "pretrain": {"epochs": 5}},
            },
        }
    )
    known = resources.Estimates(SimpleNamespace(config=config, table=PLAN.table))
    wildcards, block = Wildcards(fromdict={"backbone": name}), config.backbones[name]
    assert known.pretraining_seconds(wildcards) == count / 20
    net = registry.spec(block.kind, registry.options_class(block.kind).model_validate(block.options))
    assert known.pretraining_memory(wildcards) == 2 * resources.samples_megabytes(2, net, SIXTEEN)
