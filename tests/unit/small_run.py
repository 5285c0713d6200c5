"""A finished run of sound alone, small enough for tests of units, that predicts new files: two models, an ensemble."""

import numpy as np
import pandas as pd
import torch
import yaml

from emopipe.backbones import crossfit, registry
from emopipe.backbones.classifier import Classifier
from emopipe.cache.store import Field, Row, Writer
from emopipe.core import tables
from emopipe.core.fingerprint import digest
from emopipe.core.label_block import space_of
from emopipe.core.labels import in_recipe
from emopipe.fusion.options import EnsembleOptions, FusionOptions, Protocol
from emopipe.scoring.measures import measures
from emopipe.stages import ensemble, fusion

PERSON = "annabel"
"""A part of the id of every clip, and the name of one of the people."""
ROOT = "/somewhere/private/corpus_of_mine"
"""The folder of the corpus, which does not exist."""
OWN = {"width": 0.0625, "spectrum": {"kind": "logmel"}}
DIMS = {"own": 16, "voice": 128}
FAST = {"hidden": 8, "epochs": 2, "lr": 1e-2, "batch": 16, "seeds": [0, 1]}
CONFIG = {
    "run": "small",
    "corpus_root": ROOT,
    "corpus": {"name": "private", "kind": "folder", "options": {"subject_pattern": f"(?P<subject>{PERSON}.)"}},
    "decode": {"frames": {"policy": "count", "count": 2}},
    "backbones": {
        "own": {"kind": "audio_alexnet", "options": OWN, "pretrain": {"folds": 2}},
        "voice": {"kind": "speech", "weights": "speech_logmel"},
    },
    "models": {"audio_both": {"streams": ["own", "voice"]}, "audio_one": {"streams": ["voice"]}},
    "ensemble": {"method": "weighted", "calibrate": True},
}


def make(work, *, config=None, dims=None, **options):
    """Write `results/small` and `cache/private/weights` into a folder, and return `results/small`.

    `options` are those of all models; `config` replaces keys of CONFIG, and `dims` lengths of vectors. With several
    models, there is an ensemble.
    """
    run, config = work / "results/small", CONFIG | (config or {})
    space = space_of(config)
    clips = _clips(run, space)
    streams = {name: _vectors(run / f"{name}.h5", clips, dim) for name, dim in (DIMS | (dims or {})).items()}
    chosen = FusionOptions(**FAST | options)
    for name, block in config["models"].items():
        recipe = {"options": chosen.model_dump(), "protocol": Protocol(folds=3).model_dump(), **in_recipe(space)}
        recipe |= {"streams": dict.fromkeys(block["streams"], "audio")}
        recipe |= {"features": dict.fromkeys(block["streams"], digest({}))}
        read = {stream: streams[stream] for stream in block["streams"]}
        fusion.run(recipe, run / "clips.csv", read, _outputs(run, name), device="cpu", threads=1)
    parts = [
        {name: run / folder / f"{name}.csv" for name in names}
        for names in (config["models"], ["ensemble"])
        for folder in ("predictions", "oof", "seeds")
    ]
    if len(config["models"]) > 1:
        combined = EnsembleOptions(**config["ensemble"]).model_dump()
        recipe = {"ensembles": {"ensemble": combined}, **in_recipe(space)}
        ensemble.run(recipe, *parts, run / "ensembles.csv")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    results = {"model": "ensemble", "split": "val", "n": 12, "accuracy": 0.5, "low": 0.25, "high": 0.75, "uar": 0.5}
    results |= {"uar_low": 0.2, "uar_high": 0.8, "drawn": "subject", "groups": 6, "interval": "bootstrap"}
    results |= {measure.key: 0.5 for measure in measures(space)}
    pd.DataFrame([results]).to_csv(run / "metrics.csv", index=False)
    (run / "tables").mkdir()
    pd.DataFrame([results]).to_csv(run / "tables/results.csv", index=False)
    _own_weights(work / "cache/private/weights/own.safetensors", clips)
    return run


def _clips(run, space, n=36):
    numbers, draws = np.arange(n), np.random.default_rng(1)
    table = {"clip": [f"{PERSON}_{i:02d}" for i in numbers], "split": np.where(numbers % 3 < 2, "train", "val")}
    table |= {
        "label": [space.names[i % 3 % len(space)] for i in numbers],
        "subject": [f"{PERSON}{i % 4}" for i in numbers],
    }
    if space.kind == "votes":
        votes = draws.integers(0, 4, (n, len(space))) + np.eye(len(space), dtype=int)[numbers % len(space)]
        table |= {"label": [space.label(row) for row in votes], **dict(zip(space.vote_columns, votes.T, strict=True))}
    if space.kind == "multi":
        table["label"] = [space.label(row) for row in draws.integers(0, 2, (n, len(space)))]
    if space.kind == "dimensions":
        table["label"] = [space.label(row) for row in draws.uniform(space.low, space.high, (n, len(space)))]
    run.mkdir(parents=True)
    tables.write(pd.DataFrame(table).astype(str), run / "clips.csv")
    return table["clip"]


def _vectors(path, clips, dim):
    draws = np.random.default_rng(dim)
    with Writer(path, {"x": Field("f4", (dim,)), "time": Field("f8"), "mask": Field("?"), "fold": Field("i4"),
                       "logp": Field("f4", (7,))}, stage="merge", recipe={}) as writer:  # fmt: skip
        for clip in clips:
            arrays = {"x": draws.normal(size=(3, dim)).astype("f4"), "time": np.arange(3.0), "mask": np.ones(3, bool)}
            arrays |= {"logp": np.log(draws.dirichlet(np.ones(7), 3)).astype("f4"), "fold": np.zeros(1, "i4")}
            writer.add(Row(clip, "d", "ok", "", arrays))
    return path


def _outputs(run, name):
    made = {key: run / key / f"{name}.csv" for key in ("predictions", "oof", "seeds", "candidates")}
    made |= {"model": run / f"models/{name}.safetensors", "attention": run / f"attention/{name}.h5"}
    for path in made.values():
        path.parent.mkdir(exist_ok=True)
    return made


def _own_weights(path, clips):
    """What the pretrain stage writes for the backbone `own`, with random weights."""
    torch.manual_seed(0)
    options = registry.options_class("audio_alexnet").model_validate(OWN)
    states = [
        crossfit.state_of(Classifier(registry.build("audio_alexnet", options), DIMS["own"]).eval()) for _ in range(3)
    ]
    axes = [np.zeros((DIMS["own"] + 1, DIMS["own"]), "f4") for _ in range(2)]
    about = {"trained_on": f'{{"classes":{{"Angry":8}},"contents":"0123456789abcdef","speakers":["folder/{PERSON}0"]}}'}
    folds = {clip: number % 2 for number, clip in enumerate(clips)}
    crossfit.save(crossfit.CrossfitWeights(states[0], states[1:], axes, folds, about), path, {"recipe": PERSON})
