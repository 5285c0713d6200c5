"""Models over cached features: attention within a modality, fusion of modalities, and training."""
