"""Stage ensemble: predictions of models -> predictions of their combinations, and the members' weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from emopipe.core.atomic import write_text
from emopipe.core.errors import CacheError
from emopipe.core.labels import of_recipe
from emopipe.fusion.ensemble import FittedEnsemble
from emopipe.fusion.options import EnsembleOptions
from emopipe.scoring import predictions
from emopipe.scoring.measures import primary

COLUMNS = ["ensemble", "method", "member", "weight", "temperature"]


def run(
    recipe: Mapping[str, Any],
    predicted: Mapping[str, Path],
    out_of_fold: Mapping[str, Path],
    seeds: Mapping[str, Path],
    outputs: Mapping[str, Path],
    oof_outputs: Mapping[str, Path],
    seeds_outputs: Mapping[str, Path],
    weights: Path,
) -> None:
    """Fit every ensemble of the config, and write what it predicts.

    Args:
        recipe: `Plan.ensemble`.
        predicted: Model -> its predictions; all models predict the same clips.
        out_of_fold: Model -> its out-of-fold predictions of the training clips.
        seeds: Model -> the predictions of each of its seeds for the clips of `predicted`.
        outputs: Ensemble -> file to write with its predictions.
        oof_outputs: Ensemble -> file to write with its out-of-fold predictions: for each fold, the ensemble is fitted
            on the other folds.
        seeds_outputs: Ensemble -> file to write with its predictions for each seed that all members have.
        weights: File to write with the members' weights and temperatures.

    Raises:
        CacheError: The members predict different clips.
    """
    by_model, oof_by_model, seeds_by_model = (
        {model: predictions.read(path) for model, path in paths.items()} for paths in (predicted, out_of_fold, seeds)
    )
    for tables in (by_model, oof_by_model):
        _check_same_clips(tables)
    rows, space = [], of_recipe(recipe)
    for name, options in recipe["ensembles"].items():
        block = EnsembleOptions.model_validate(options)
        members = [model for model in predicted if block.members is None or model in block.members]
        ensemble = FittedEnsemble(block, [oof_by_model[m] for m in members], space)
        predictions.write(ensemble.predict([by_model[m] for m in members]), outputs[name])
        predictions.write(ensemble.predict([oof_by_model[m] for m in members]), oof_outputs[name])
        predictions.write(ensemble.predict_by_seed([seeds_by_model[m] for m in members]), seeds_outputs[name])
        rows += [{"ensemble": name, "method": block.description, **row} for row in ensemble.weights(members)]
    columns = [*COLUMNS, f"oof_{primary(space).key}", "oof_loss"]
    write_text(weights, pd.DataFrame(rows, columns=columns).to_csv(index=False, float_format="%.6f"))


def _check_same_clips(tables: Mapping[str, pd.DataFrame]) -> None:
    first = next(iter(tables), "")
    for model, table in tables.items():
        if not table["clip"].equals(tables[first]["clip"]):
            raise CacheError(
                f"The models {first} and {model} predict different clips, but members of an ensemble have to predict "
                "the same clips. Delete the predictions of both models and run again."
            )
