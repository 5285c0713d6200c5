"""The libraries that numbers depend on. Recipes hold their versions, as they hold the fingerprint of the code.

Only major and minor versions count: patch versions rarely change a number.
"""

import functools
import importlib.metadata
import sys
from collections.abc import Iterable

DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "av": ("av",),
    "insightface": ("insightface",),
    "librosa": ("librosa",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "scikit-learn": ("scikit-learn",),
    "scipy": ("scipy",),
    "soxr": ("soxr",),
    "torch": ("torch",),
}
"""Library -> the distributions that may provide it."""

USED_BY: dict[str, tuple[str, ...]] = {
    "av": ("av",),
    "cv2": ("opencv",),
    "insightface": ("insightface",),
    "librosa": ("librosa", "soxr"),
    "onnxruntime": ("onnxruntime",),
    "scipy": ("scipy",),
    "sklearn": ("scikit-learn",),
    "soxr": ("soxr",),
    "torch": ("torch",),
}
"""Imported module -> the libraries that its numbers depend on. Optional backbones name theirs by `version`."""


IGNORED = frozenset({"h5py", "numpy", "pandas", "pydantic"})
"""Modules whose versions are not watched: they hold numbers, or their results are stable."""


def versions(modules: Iterable[str], plugins: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of the libraries that make the numbers of these modules.

    Args:
        modules: Names of imported modules; those that make no numbers, such as pandas, are ignored.
        plugins: Names of modules that the code of plug-ins imports; their libraries are not known, so all count.

    Returns:
        Library -> major.minor, such as `{"torch": "2.13"}`; "" if it is not installed. `av` also gives `ffmpeg`.
    """
    used = {library for module in modules for library in USED_BY.get(module, ())}
    for module in set(plugins) - sys.stdlib_module_names - {*USED_BY, *IGNORED}:
        used |= {*importlib.metadata.packages_distributions().get(module, ())}
    return installed(used | ({"ffmpeg"} if "av" in used else set()))


def installed(libraries: Iterable[str]) -> dict[str, str]:
    """Return library -> major.minor of what is installed; "" if it is not."""
    return {library: _ffmpeg() if library == "ffmpeg" else _version(library) for library in sorted(libraries)}


def major_minor(version: str) -> str:
    """Return the first two numbers of a version.

    >>> major_minor("2.13.0+cpu"), major_minor("8")
    ('2.13', '8')
    """
    return ".".join(version.partition("+")[0].split(".")[:2])


@functools.cache
def _version(library: str) -> str:
    for name in DISTRIBUTIONS.get(library, (library,)):
        try:
            return major_minor(importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


@functools.cache
def _ffmpeg() -> str:
    """Return the version of ffmpeg's libavcodec, which decodes for PyAV; "" if PyAV is not installed."""
    try:
        import av
    except ImportError:
        return ""
    return ".".join(map(str, av.library_versions["libavcodec"][:2]))
