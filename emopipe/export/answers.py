"""What a model of a run predicts, clip by clip; tables stay tables, which take little memory."""

from pathlib import Path

import pandas as pd

from emopipe.core.labels import LabelSpace
from emopipe.export.clip import OUT_OF_FOLD, REPORTED, Answer
from emopipe.scoring import predictions


class Answers:
    """The predictions of one model or ensemble."""

    def __init__(self, folder: Path, model: str, space: LabelSpace) -> None:
        """Read what the model `model` of `results/<run>` predicts in the label space of the run."""
        self._model, self._space = model, space
        self._tables: dict[str, pd.DataFrame] = {}
        for source, name in ((REPORTED, "predictions"), (OUT_OF_FOLD, "oof")):
            path = folder / name / f"{model}.csv"
            if path.is_file():
                self._tables[source] = predictions.read(path).set_index("clip")

    def of(self, clip: str) -> Answer | None:
        """Return the prediction for a clip: as reported, or else out of fold if the model was trained on it.

        Returns:
            None if the model predicts nothing for the clip.
        """
        for source, table in self._tables.items():
            if clip in table.index:
                row = table.loc[clip]
                numbers = (float(row[column]) for column in self._space.columns)
                values = dict(zip(self._space.names, numbers, strict=True))
                return Answer(self._model, source, str(row["pred"]), values, bool(row["covered"]), self._space)
        return None
