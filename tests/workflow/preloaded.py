"""What the server of jobs imports once: all that the scripts import."""

import matplotlib.pyplot
import snakemake.script
import torch

from emopipe.stages import corpus, decode, ensemble, faces, features, fusion, merge, pretrain, report  # noqa: F401

assert matplotlib.pyplot and snakemake.script
torch.set_num_threads(1)
