"""From a shard's cached faces or sound to a backbone's vectors; one module a modality, each fingerprinted by itself."""

import importlib
from types import ModuleType


def of(modality: str) -> ModuleType:
    """The module whose `rows(source, clips, network, batch, view, policy)` extracts this modality."""
    return importlib.import_module(f"emopipe.extraction.{modality}")
