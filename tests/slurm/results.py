"""Whether two runs of one config came to the same."""

from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.cache.store import Reader
from emopipe.core.labels import CLASSES

TOLERANCE = 1e-5


def same_results(one: Path, other: Path, corpus: str, run: str) -> int:
    """Compare ledgers, predictions and merged features of two folders; how many files were compared.

    Raises:
        AssertionError: They differ.
    """
    features = _names(one, other, f"cache/{corpus}/features/*.h5")
    for name in features:
        _same_features(one / name, other / name)
    ledgers, predictions = [f"results/{run}/ledger.csv"], _names(one, other, f"results/{run}/predictions/*.csv")
    for name in ledgers:
        assert (one / name).read_text() == (other / name).read_text(), f"{name} differs"
    for name in predictions:
        _same_predictions(one / name, other / name)
    return len(ledgers) + len(predictions) + len(features)


def _names(one: Path, other: Path, pattern: str) -> list[str]:
    found = [sorted(str(path.relative_to(folder)) for path in folder.glob(pattern)) for folder in (one, other)]
    assert found[0] and found[0] == found[1], f"{pattern}: {found[0]} here, {found[1]} there"
    return found[0]


def _same_predictions(one: Path, other: Path) -> None:
    here, there = (pd.read_csv(path, keep_default_na=False) for path in (one, other))
    shares = [f"p_{name}" for name in CLASSES]
    pd.testing.assert_frame_equal(here.drop(columns=shares), there.drop(columns=shares), obj=one.name)
    np.testing.assert_allclose(here[shares], there[shares], rtol=0, atol=TOLERANCE, err_msg=one.name)


def _same_features(one: Path, other: Path) -> None:
    with Reader(one) as here, Reader(other) as there:
        assert (here.clips, here.status) == (there.clips, there.status), f"{one.name}: clips or statuses differ"
        for field in ("x", "mask", "time", "fold"):
            (values, offsets), (others, other_offsets) = here.flat(field), there.flat(field)
            np.testing.assert_array_equal(offsets, other_offsets, err_msg=one.name)
            np.testing.assert_allclose(values, others, rtol=0, atol=TOLERANCE, err_msg=f"{one.name}: {field}")
