"""The list of a bundle's files with their sha256, which is compared before anything of a bundle is read."""

from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, ValidationError

from emopipe.core.atomic import sha256
from emopipe.core.errors import BundleError
from emopipe.core.options import Options
from emopipe.weights.entries import Sha256

MANIFEST = "manifest.json"
"""In the folder of a bundle; it lists all other files."""


class OnnxTensor(Options):
    """An input or output of an ONNX network."""

    name: str
    dtype: str
    """As numpy names it."""
    shape: list[int | str]
    """A number, or the name of an axis of any length."""


class OnnxFile(Options):
    """What an ONNX network takes and gives."""

    about: str
    inputs: list[OnnxTensor]
    outputs: list[OnnxTensor]


class Manifest(Options):
    """What is in a bundle."""

    emopipe_bundle: Literal[1]
    """The version of the form of bundles."""
    package: str
    """The version of emopipe that wrote the bundle."""
    files: dict[str, Sha256]
    """Path inside, with forward slashes -> the sha256 of the file."""
    onnx: dict[str, OnnxFile] = Field(default_factory=dict)
    """Path of an ONNX network -> what it takes and gives."""
    not_in_onnx: dict[str, str] = Field(default_factory=dict)
    """Network that is not there as ONNX -> why."""

    def require(self, path: str, folder: Path) -> Path:
        """Return the path of a file that the bundle lists.

        Raises:
            BundleError: It is not listed.
        """
        if path not in self.files:
            raise BundleError(folder, f"{path} is not listed in its {MANIFEST}")
        return folder / path


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file in a folder, at any depth, by its path inside; the manifest itself is omitted."""
    return {name: sha256(path) for name, path in _paths(folder).items()}


def _paths(folder: Path) -> dict[str, Path]:
    """Return path inside -> path of each file, links included, but not of the manifest; sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    by_path = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path for name, path in by_path.items() if name != MANIFEST}


def read(folder: Path) -> Manifest:
    """Read the manifest of a bundle, and compare the sha256 of every file that it lists.

    Raises:
        BundleError: The manifest is missing or has another form, a file is missing, has changed or is not listed, or a
            path leads out of the bundle.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise BundleError(folder, f"its {MANIFEST} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "the file"
        raise BundleError(folder, f"its {MANIFEST} is not as this version writes it ({key}: {fault['msg']})") from error
    for name, wanted in manifest.files.items():
        if not _is_inside(name, folder):
            raise BundleError(folder, f"its {MANIFEST} lists {name!r}, which is not a plain path inside of the bundle")
        if not (folder / name).is_file():
            raise BundleError(folder, f"{name} is missing")
        if sha256(folder / name) != wanted:
            raise BundleError(folder, f"{name} has changed since the bundle was written: its sha256 is another one")
    if others := sorted(_paths(folder).keys() - manifest.files.keys()):
        raise BundleError(
            folder, f"{others[0]} is not listed in its {MANIFEST}. Remove the file if it is not one of the bundle"
        )
    return manifest


def _is_inside(name: str, folder: Path) -> bool:
    """Return whether a path is plain, and no link leads it out of the folder."""
    parts = PurePosixPath(name).parts
    is_plain = bool(parts) and not {"/", "..", "."} & {*parts} and "\\" not in name and ":" not in name
    return is_plain and (folder / name).resolve().is_relative_to(folder.resolve())


def is_bundle(folder: Path) -> bool:
    """Return whether a folder has a manifest."""
    return (folder / MANIFEST).is_file()
