"""What pretraining asks a cluster for: by the samples that it holds and counts, not by the files that it reads."""

import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from snakemake.iocontainers import Wildcards

from emopipe.backbones import registry
from emopipe.cache.store import Row, Writer
from emopipe.media import rows as media_rows
from emopipe.media.decoded import DecodeOptions
from emopipe.media.spectrogram import RATE
from emopipe.training import audio_clips, face_clips
from emopipe.training.options import PretrainOptions
from emopipe.workflow import config as configs
from emopipe.workflow import resources, scheduler_timers
from tests.unit.test_pretraining import FACE, table, write_faces

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
    dataset, _ = face_clips.read([tmp_path / "0.h5"], table(1).assign(clip="a"), face, PretrainOptions())
    held = dataset._stored.nbytes
    assert resources.samples_megabytes(1, face, DecodeOptions(policy="count", count=3)) == held / 1e6


@pytest.mark.parametrize("kind", ["logmel", "spectrogram"])
def test_sound_takes_what_is_foreseen(tmp_path, kind):
    with Writer(tmp_path / "0.h5", media_rows.FIELDS, stage="decode", recipe={}) as writer:
        wave = np.random.default_rng(0).integers(-9999, 9999, round(resources.CLIP_SECONDS * RATE)).astype(np.int16)
        writer.add(Row("a", "d", "ok", "", {"audio": wave, "audio_start": np.zeros(1)}))
    voice = spec("audio_alexnet", spectrum={"kind": kind})
    dataset, _ = audio_clips.read([tmp_path / "0.h5"], table(1).assign(clip="a"), voice, PretrainOptions())
    (spectrogram,) = dataset._spectrograms
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
    known = resources.ResourceEstimates(PLAN)
    shard, whole, read = Wildcards(fromdict={"shard": "3"}), Wildcards(), SimpleNamespace(size_mb=7)
    assert known.memory(1000)(whole, None, 1) == 1000  # the input may not exist yet
    assert known.memory(1000, per_clip=0.5)(whole, None, 1) == 1002
    assert known.memory(1000, per_clip=0.5)(shard, None, 2) == 2 * 1002  # 1001.5, rounded up
    assert known.memory(1000, per_input=4, held=lambda wildcards: 10)(whole, read, 3) == 3 * 1038
    assert known.memory(1000)(whole, None, 1000) == 250_000


def test_minutes_grow_with_clips_and_attempts():
    known = resources.ResourceEstimates(PLAN)
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
    known = resources.ResourceEstimates(SimpleNamespace(config=config, table=PLAN.table))
    wildcards, block = Wildcards(fromdict={"backbone": name}), config.backbones[name]
    assert known.pretraining_seconds(wildcards) == count / 20
    net = registry.spec(block.kind, registry.options_class(block.kind).model_validate(block.options))
    assert known.pretraining_memory(wildcards) == 2 * resources.samples_megabytes(2, net, SIXTEEN)


# --- GPUs


SET = {"mem_mb": 1000}
"""Default resources; Snakemake sets them for executors of clusters once it knows the executor."""


def workflow(*, nodes=None, cores=None, defaults=None, executor=None, local=True, remote=False):
    """What Snakemake's workflow says while rules are read or, with an executor, while jobs are planned."""
    return SimpleNamespace(
        resource_settings=SimpleNamespace(nodes=nodes, cores=cores, default_resources=defaults),
        remote_exec=remote,
        executor_plugin=executor,
        dryrun=executor == "dryrun",
        touch=executor == "touch",
        non_local_exec=not local,
    )


@pytest.mark.parametrize(
    ("run", "cores"),
    [
        (workflow(cores=4), 4),
        (workflow(cores=64, nodes=64), 64),  # --cores 64 --jobs 64
        (workflow(), 1),  # a linter
        (workflow(nodes=100), None),  # a run on a cluster
        (workflow(nodes=100, cores=1), None),  # a dry run of it
        (workflow(cores=8, remote=True), None),  # on the node
    ],
)
def test_cores_mean_nothing_on_a_cluster(run, cores):
    assert resources.cores(run) == cores


@pytest.mark.parametrize(
    ("run", "cluster"),
    [
        (workflow(cores=4, executor="local"), False),
        (workflow(cores=4, nodes=4, defaults=SET, executor="local"), False),
        (workflow(cores=4, executor="dryrun"), False),
        (workflow(cores=1, nodes=4, executor="dryrun"), False),  # --jobs 4 --dry-run
        (workflow(cores=4, defaults=SET, executor="touch"), False),
        (workflow(cores=4), False),  # a report
        (workflow(nodes=100, defaults=SET, executor="slurm", local=False), True),
        (workflow(nodes=100, cores=1, defaults=SET, executor="dryrun"), True),
        (workflow(cores=8, executor="local", remote=True), True),  # on the node
    ],
)
def test_a_cluster_is_known_by_its_executor_and_a_dry_run_of_it_by_its_settings(run, cluster):
    assert resources.is_cluster(run) == cluster


@pytest.mark.parametrize(
    ("device", "on_cluster", "gpu_here", "gpus"),
    [
        ("auto", False, False, 0),
        ("auto", False, True, 1),
        ("auto", True, False, 1),  # whatever the login node has
        ("auto", True, True, 1),
        ("cpu", False, True, 0),
        ("cpu", True, True, 0),
        ("cuda", False, False, 1),
        ("cuda", True, False, 1),
    ],
)
def test_gpus_of_a_job(device, on_cluster, gpu_here, gpus):
    assert resources.gpus_of_a_job(device, on_cluster=on_cluster, gpu_here=gpu_here) == gpus


@pytest.mark.parametrize(
    ("names", "environment", "found"),
    [
        ([], {}, False),
        (["nvidiactl", "nvidia-uvm", "null"], {}, False),
        (["nvidia0"], {}, True),
        (["nvidia12"], {"CUDA_VISIBLE_DEVICES": "3"}, True),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": ""}, False),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": "-1"}, False),
        (["kfd"], {}, True),
        (["dxg"], {}, True),
    ],
)
def test_a_gpu_is_seen_among_the_devices(tmp_path, names, environment, found):
    for name in names:
        (tmp_path / name).touch()
    assert resources.has_gpu(tmp_path, environment) == found


@pytest.mark.parametrize(("device", "gpus"), [("cpu", 0), ("cuda", 1)])
def test_a_backbone_on_the_cpu_never_asks_for_a_gpu(device, gpus):
    blocks = {"face": "expression", "net": "onnx", "whole": "hf", "sound": "opensmile"}
    backbones = {name: SimpleNamespace(kind=kind) for name, kind in blocks.items()}
    plan = SimpleNamespace(config=SimpleNamespace(backbones=backbones, device=device))
    known = resources.ResourceEstimates(plan, workflow(cores=4, executor="local"))
    assert known.gpus(Wildcards()) == gpus
    names = [*blocks, "face@flip", "sound@fast"]
    asked = {name: known.gpus_of_features(Wildcards(fromdict={"backbone": name})) for name in names}
    assert asked == {**dict.fromkeys(names, gpus), "sound": 0, "sound@fast": 0}


@pytest.mark.parametrize(
    ("cores", "gpus", "shards", "faces", "features"),
    [
        (8, 0, 1, 4, 4),  # the config's 4 at most
        (8, 0, 3, 2, 1),
        (2, 0, 16, 1, 1),
        (8, 1, 16, 4, 4),  # one job at a time has the GPU
        (None, 0, 16, 4, 4),  # a cluster
    ],
)
def test_jobs_of_shards_share_the_cores_of_one_machine(monkeypatch, cores, gpus, shards, faces, features):
    config = SimpleNamespace(threads=4, device="cpu", backbones={"a": SimpleNamespace(kind="expression")})
    plan = SimpleNamespace(config=config, shards=["0"] * shards, backbones={"a": None, "b": None})
    monkeypatch.setattr(resources, "cores", lambda workflow: cores)
    estimates = resources.ResourceEstimates(plan)
    monkeypatch.setattr(estimates, "gpus", lambda wildcards: gpus)
    assert estimates.threads(Wildcards(fromdict={"detector": "main", "shard": "00"})) == faces
    assert estimates.threads(Wildcards(fromdict={"backbone": "a@flip", "shard": "00"})) == features


def test_timers_of_the_scheduler_do_not_outlive_the_run():
    timer, other = threading.Timer(60, int), threading.Thread(target=int)
    timer.start()
    other.start()
    scheduler_timers.cancel()
    timer.join(5)
    assert not timer.is_alive()
