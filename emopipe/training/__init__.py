"""Training of backbones: on labelled stills or speech of other corpora, and on the corpus' own training clips."""
