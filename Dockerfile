# emopipe with the versions of constraints.txt:
#
#   docker build --tag emopipe .
#   docker run --rm --volume "$PWD:/work" emopipe run --configfile smoke
#
# torch is the CPU build. For a GPU, name the index of a CUDA build that the driver supports:
#
#   docker build --tag emopipe:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#   docker run --rm --gpus all --volume "$PWD:/work" emopipe:cuda run --configfile smoke
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /opt/emopipe
COPY constraints.txt ./

# The steps of `make setup`: torch with its dependencies, which differ between CPU and CUDA builds; then all else.
RUN python -m pip install --no-cache-dir --constraint constraints.txt --extra-index-url ${TORCH_INDEX} torch
RUN python -m pip install --no-cache-dir --no-deps --requirement constraints.txt

COPY . .
RUN python -m pip install --no-cache-dir --no-deps --no-build-isolation .

# Runs read and write here: mount a folder of yours.
WORKDIR /work
ENTRYPOINT ["emopipe"]
CMD ["--help"]
