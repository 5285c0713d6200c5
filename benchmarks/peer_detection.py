#!/usr/bin/env python3
"""Detection by facenet-pytorch's MTCNN, in frames a second: what a well-known package does with the same frames.

It runs in an environment of its own, since facenet-pytorch needs torchvision, which has no build beside the CPU build
of torch that this project pins:

    pip install torch==2.14.1 torchvision==0.29.1 opencv-python-headless pillow requests tqdm
    pip install --no-deps facenet-pytorch
    python benchmarks/peer_detection.py CLIPS [--batch 16] [--threads 2]

The frames are those of `plain_extraction.py`: 16 of each clip, evenly spaced, scaled to 320 pixels, and the smallest
face has 20 pixels, as for this project's MTCNN.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN

FRAMES, SIDE = 16, 320


def main() -> None:
    """Print frames a second, CPU milliseconds a frame, and in how many frames a face was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--batch", type=int, default=1, help="frames that it takes at once")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    detector = MTCNN(keep_all=True, min_face_size=20, device="cpu")
    wall = cpu = 0.0
    frames = faces = 0
    for path in sorted(path for path in chosen.clips.rglob("*") if path.suffix in (".avi", ".mp4", ".flv", ".mkv")):
        images = sampled_frames(path)
        for start in range(0, len(images), chosen.batch):
            batch = images[start : start + chosen.batch]
            begin, begin_cpu = time.perf_counter(), time.process_time()
            boxes, _ = detector.detect(batch)
            wall, cpu = wall + time.perf_counter() - begin, cpu + time.process_time() - begin_cpu
            frames, faces = frames + len(batch), faces + sum(found is not None for found in boxes)
    print(
        f"{frames} frames, {faces} with a face, {frames / wall:.1f} frames/s, {1000 * cpu / frames:.1f} CPU ms a frame"
    )


def sampled_frames(path: Path) -> list[np.ndarray]:
    """Return up to 16 frames (h, w, 3) uint8 RGB, evenly spaced and scaled."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    chosen = np.unique(((np.arange(FRAMES) + 0.5) / FRAMES * len(frames)).astype(int))
    scale = SIDE / max(frames[0].shape)
    return [cv2.cvtColor(cv2.resize(frames[n], None, fx=scale, fy=scale), cv2.COLOR_BGR2RGB) for n in chosen]


if __name__ == "__main__":
    main()
