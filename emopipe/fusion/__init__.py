"""Models over cached features: attention within a modality, fusion across, their training and ensembling."""
