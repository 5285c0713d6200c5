"""Writes into the weights that come with this package what they were trained on; their tensors stay as they are.

DATA holds fer2013.zip and ravdess_speech/ (see configs/weights/). The samples are those of the recipes, with copies of
pictures that stand in other splits: these weights were trained before such copies were dropped. The checksums and sizes
in the registry follow.

    python benchmarks/record_trained_on.py DATA
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer
import yaml

from emopipe.backbones import registry as backbones
from emopipe.cache import tensors
from emopipe.core.atomic import sha256, write_text
from emopipe.training.loading import load_dataset
from emopipe.training.phase_options import phase_class
from emopipe.training.sources import SourceBlock
from emopipe.weights import entries, trained_on

REPOSITORY = Path(__file__).parents[1]


def main(data: Annotated[Path, typer.Argument(help="The folder that contains the corpora.")]) -> None:
    """Rewrite the files and the registry."""
    known = entries.package_registry()
    listing = Path(entries.__file__).with_name("registry.yaml")
    found: dict[str, trained_on.TrainedOn] = {}  # sources -> their samples; both networks of speech have the same ones
    for entry in known:
        if not entry.shipped:
            continue
        path = known.files / entry.file
        before, metadata = tensors.read(path)
        recipe = yaml.safe_load((REPOSITORY / f"configs/weights/{entry.name}.yaml").read_text())
        sources = json.dumps(recipe["sources"], sort_keys=True)
        if sources not in found:
            found[sources] = samples_of(recipe, data)
        seen = found[sources]
        tensors.save_state(before, path, {**metadata, **trained_on.to_metadata(seen)})
        after, _ = tensors.read(path, sealed=True)
        assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
        text = listing.read_text(encoding="utf-8")
        text = text.replace(entry.sha256, sha256(path))
        text = re.sub(
            rf"(file: {re.escape(entry.file)}\n  sha256: \w+\n  bytes: )\d+", rf"\g<1>{path.stat().st_size}", text
        )
        write_text(listing, text)
        print(f"{entry.name}: {sum(seen.classes.values())} samples, {len(seen.contents)} contents, {seen.classes}")


def samples_of(recipe: dict, data: Path) -> trained_on.TrainedOn:
    """Return the samples that a recipe's last phase is trained on, copies of evaluated ones included."""
    options = backbones.options_class(recipe["kind"]).model_validate(recipe["options"])
    spec = backbones.spec(recipe["kind"], options)
    phase = phase_class(spec.modality).model_validate(recipe["schedule"][-1])
    sources = {
        name: SourceBlock(**{**block, "path": str(data / block["path"]), "copies": "keep"})
        for name, block in recipe["sources"].items()
    }
    with tempfile.TemporaryDirectory() as work:
        return load_dataset(sources, phase, spec, Path(work), threads=1, device="cpu").trained_on


if __name__ == "__main__":
    typer.run(main)
