"""The ONNX files of a bundle, for programs other than emopipe, and the reasons for those that are not there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emopipe.export.onnx_backbones import write_backbone
from emopipe.export.onnx_fusion import write_model
from emopipe.export.onnx_writing import NotExportedError
from emopipe.inference.description import Description, StreamBlock
from emopipe.inference.manifest import OnnxFile
from emopipe.inference.run_model import RunModel

FOLDER = "onnx"
"""In a bundle."""


@dataclass
class OnnxFiles:
    """Writes the networks of a bundle as ONNX."""

    bundle: Path
    """The folder of the bundle, which holds its weights already."""
    files: dict[str, OnnxFile] = field(default_factory=dict)
    """Path in the bundle -> what the network takes and gives."""
    omitted: dict[str, str] = field(default_factory=dict)
    """Network -> why it is not there."""

    def write(self, model: RunModel, about: Description) -> None:
        """Write all fusion models and backbones of a run that ONNX can hold."""
        for name, one in model.models.items():
            self._try(f"{FOLDER}/{name}.onnx", f"the model {name}", lambda path, one=one: write_model(one, path))
        for name, block in about.streams.items():
            file = f"{FOLDER}/backbone_{name}.onnx"
            weights = self._weights(block)
            self._try(
                file,
                f"the backbone {name}",
                lambda path, b=block, w=weights: write_backbone(b, w, path, model.space.names),
            )

    def _weights(self, block: StreamBlock) -> Path | None:
        return self.bundle / block.weights.path if block.weights and block.weights.path else None

    def _try(self, path: str, what: str, write: Callable[[Path], OnnxFile]) -> None:
        try:
            self.files[path] = write(self.bundle / path)
        except NotExportedError as error:
            self.omitted[what] = str(error)
