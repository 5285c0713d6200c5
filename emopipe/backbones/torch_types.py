"""Names of torch's classes for the type hints of modules that a plan imports.

A plan does not need torch, which takes seconds to import. So the modules of kinds import torch, and their networks,
only in functions that build a network or read its weights.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
else:
    Tensor = Module = Any
