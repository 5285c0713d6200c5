"""Tests of what runs on a GPU: `python -m pytest tests/gpu`, on the CPU with `--device cpu`.

They need torch, numpy, pandas, scipy, scikit-learn, h5py, safetensors, pydantic and OpenCV, and use librosa, onnx and
onnxruntime-gpu if they are installed. pytest.ini of this folder keeps the options and the conftest.py of the other
tests away, so that neither Snakemake nor PyAV nor plug-ins of pytest are needed.
"""
