"""From a shard's cached faces or sound to the vectors of a backbone; one module for each modality."""

import importlib
from types import ModuleType


def module_for(modality: str) -> ModuleType:
    """Return the module whose `rows(source, clips, network, batch, view, policy)` extracts this modality."""
    return importlib.import_module(f"emopipe.extraction.{modality}")
