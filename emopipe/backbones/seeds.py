"""Names of a backbone's networks, if it is trained with several seeds, and of their features.

The network of the first seed has the backbone's own name, `face`, so that it is not trained again if seeds are added.
The others have names with their seed, `face.seed1`, which no block of a config may have.
"""

import re
from collections.abc import Iterable

_SEED = re.compile(r"\.seed\d+$")


def network_name(backbone: str, seed: int) -> str:
    """Return the name of the network of a seed that is not the first."""
    return f"{backbone}.seed{seed}"


def network_of(file: str) -> str:
    """Return the network whose features a file has: `face.seed1` for `face.seed1@flip`."""
    return file.partition("@")[0]


def backbone_of(file: str) -> str:
    """Return the backbone whose features a file has: `face` for `face`, `face@flip` and `face.seed1@flip`."""
    return _SEED.sub("", network_of(file))


def count_networks(stream: str, files: Iterable[str]) -> int:
    """Return how many networks of a backbone have features among the files; at least one."""
    return max(1, len({network_of(file) for file in files if backbone_of(file) == stream}))
