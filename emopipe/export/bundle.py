"""The format `bundle`: one folder, or one .zip, that predicts without the corpus, the cache and Snakemake."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from emopipe import __version__
from emopipe.core.errors import ConfigError
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.export import public_config, terms
from emopipe.export.card import Card
from emopipe.export.onnx_files import OnnxFiles
from emopipe.export.placing import placing
from emopipe.export.weights_inside import WeightsInside
from emopipe.inference import manifest
from emopipe.inference.description import DESCRIPTION, Description, Weights
from emopipe.inference.finished_run import FinishedRun
from emopipe.inference.fusion_predictor import out_of_fold
from emopipe.inference.manifest import MANIFEST, Manifest
from emopipe.inference.model import FacePreset, Stream
from emopipe.inference.run_results import load_run
from emopipe.weights.entries import package_registry

LABELS = "labels.json"
"""The names of the seven classes, in the order of all probabilities; or another label space (`LabelSpace.to_dict`)."""


def write(run: Path, out: Path) -> list[str]:
    """Write a finished run as a bundle.

    Args:
        run: `results/<run>`.
        out: The folder to make; or the file, if it ends in .zip.

    Returns:
        Remarks for the user: what the bundle needs and does not hold.

    Raises:
        CacheError: The run is not finished, or has no single answer.
        ConfigError: Its answer needs other clips of a person; or `out` is a folder of other files, or in the run.
        WeightsError: A file of weights is missing.
    """
    results, model = load_run(run), FinishedRun(run, torch.device("cpu"))
    if out.resolve().is_relative_to(run.resolve()):
        raise ConfigError(f"--out is {out}, which is inside of the run {run}. Give a path outside of it.")
    with placing(out, manifest.is_bundle) as folder:
        # 1. what predicts
        weights = WeightsInside(model, folder)
        about = _description(model, weights)
        _write_json(folder / DESCRIPTION, about.model_dump(mode="json"))
        _write_json(folder / LABELS, _labels(model.space))
        (folder / "models").mkdir()
        for name in model.models:
            shutil.copyfile(run / f"models/{name}.safetensors", folder / f"models/{name}.safetensors")
        # 2. the same networks for other programs
        onnx = OnnxFiles(folder)
        onnx.write(model, about)
        # 3. what people read
        (folder / "config.yaml").write_text(public_config.to_yaml(results.config), encoding="utf-8")
        terms.write_texts(weights.parts, folder / "LICENSES", package_registry())
        trained = out_of_fold(run, model.members[0])
        scores = pd.read_csv(run / "tables/results.csv", dtype={"split": str})
        card = Card(model, scores, trained, weights.parts, onnx.files, onnx.omitted, model.space)
        (folder / "README.md").write_text(card.to_markdown(), encoding="utf-8")
        # 4. the list of it all
        listed = Manifest(
            emopipe_bundle=1,
            package=__version__,
            files=manifest.digests(folder),
            onnx=onnx.files,
            not_in_onnx=onnx.omitted,
        )
        _write_json(folder / MANIFEST, listed.model_dump(mode="json"))
    lacking = [part for part in weights.parts if not part.path]
    return [f"The bundle may not hold {part.origin}, which {part.use} needs; its card says how." for part in lacking]


def _labels(space: LabelSpace) -> list[str] | dict[str, Any]:
    """Return the seven classes as a list, or another label space as plain data."""
    return list(space.names) if space == BASIC7 else space.to_dict()


def _description(model: FinishedRun, weights: WeightsInside) -> Description:
    """Return what the bundle needs to know of a run; its weights are collected on the way."""
    streams = {name: _stream(stream, weights.of_stream(name, stream)) for name, stream in model.streams.items()}
    return Description.model_validate(
        {
            "run": model.name,
            "classes": _labels(model.space),
            "models": {name: {"prior": one.prior.tolist()} for name, one in model.models.items()},
            "members": list(model.members),
            "ensemble": model.ensemble and {key: v for key, v in model.ensemble.to_dict().items() if key != "labels"},
            "decode": {name: options.model_dump() for name, options in model.decode.items()},
            "faces": {name: _faces(preset, weights.of_faces(name, preset)) for name, preset in model.faces.items()},
            "streams": streams,
        }
    )


def _faces(preset: FacePreset, weights: Weights | None) -> dict[str, Any]:
    return {
        "detector": preset.detector,
        "options": dict(preset.options),
        "weights": weights and weights.model_dump(),
        "decode": preset.decode,
        "jpeg_quality": preset.jpeg_quality,
        "every": preset.every,
    }


def _stream(stream: Stream, weights: Weights | None) -> dict[str, Any]:
    options: Mapping[str, Any] = {key: value for key, value in stream.options.items() if key != "weights"}
    return {
        "kind": stream.kind,
        "options": options,
        "modality": stream.modality,
        "weights": weights and weights.model_dump(),
        "preset": stream.preset,
        "batch": stream.batch,
        "precision": stream.precision,
        "views": list(stream.views),
    }


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
