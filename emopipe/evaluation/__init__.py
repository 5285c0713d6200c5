"""How well a network that tells emotions does on labelled stills, speech or clips, without any training."""
