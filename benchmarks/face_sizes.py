#!/usr/bin/env python3
"""Which sizes of faces each detector finds: real frames, scaled so that the face has 5 to 200 % of the frame's height.

A frame is scaled and moved by its face's landmarks, on which the detectors agree. Beyond its edge the background goes
on, as blurred edge pixels; what does not fit is cut off. Frames that are cut to the face have no surroundings
that could go on, so they count from 50 % on. The height of a face is that of ArcFace's template, from the forehead to
the chin. A face counts as found if its landmarks are off by less than a fifth of the distance of the eyes.

    python benchmarks/face_sizes.py data/crema_d data/ravdess_av --weights weights
    python benchmarks/face_sizes.py data/crema_d --detector mtcnn --pad 0 --pad 0.5 --max-side 320 --max-side 640
"""

import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from emopipe.corpora.files import VIDEO, media_files
from emopipe.faces import detectors
from emopipe.faces.alignment import TEMPLATE, TEMPLATE_SIDE, similarity
from emopipe.faces.detection import Detector
from emopipe.media.decoded import DecodeOptions, decode_jpeg
from emopipe.media.sandbox import ClipReader

SIZES = (5, 7, 10, 15, 20, 30, 50, 75, 100, 125, 150, 175, 200)
FRAME = (720, 576)  # width and height
FILES = {"scrfd": "scrfd_2.5g_bnkps.onnx", "yunet": "yunet.onnx"}
CENTER = (TEMPLATE_SIDE - 1) / 2
TOLERANCE = 0.2


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders of clips with one face each.")],
    weights: Annotated[Path, typer.Option(help="The folder with the weights of SCRFD and YuNet.")] = Path("weights"),
    detector: Annotated[list[str] | None, typer.Option(help="Kinds of detectors; default: all.")] = None,
    pad: Annotated[list[float] | None, typer.Option(help="Values of `pad`; default: the kind's own.")] = None,
    max_side: Annotated[list[int] | None, typer.Option(help="Values of `max_side`; default: the kind's own.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of each clip.")] = 1,
) -> None:
    """Print a row for each detector, `max_side` and `pad`: the share found by size, false ones, and CPU time."""
    kinds = detector or list(detectors.KINDS)
    faces = _faces(folders, frames, [_build(kind, weights, {"pad": 0.25}) for kind in detectors.KINDS])
    rng = np.random.default_rng(0)
    scenes = {size: [_scene(*face, size, rng) for face in faces if size >= 50 or _share(*face) < 0.7] for size in SIZES}
    print(f"{len(faces)} faces, {FRAME[0]}x{FRAME[1]} pixels; % found, by the face's height in % of the frame's\n")
    print("| detector | max_side | pad | " + " | ".join(map(str, SIZES)) + " | false | ms a frame |")
    print("|---|---|---|" + "---|" * (len(SIZES) + 2))
    for kind in kinds:
        for side in max_side or [None]:
            for border in pad or [None]:
                given = {"max_side": side, "pad": border}
                given = {key: value for key, value in given.items() if value is not None}
                _print_row(kind, _build(kind, weights, given), scenes)


def _build(kind: str, weights: Path, given: dict[str, float]) -> Detector:
    path = {"weights": str(weights / FILES[kind])} if kind in FILES else {}
    return detectors.build(kind, detectors.options_class(kind)(**path, **given))


def _faces(folders: list[Path], frames: int, every: list[Detector]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return frames of all clips with their landmarks (5, 2): the median over the detectors, which find one face."""
    found = []
    with ClipReader(DecodeOptions(policy="count", count=frames)) as read:
        for path in [path for folder in folders for path in media_files(folder, VIDEO)]:
            for jpeg in read(path).jpegs:
                frame = decode_jpeg(np.frombuffer(jpeg, np.uint8))
                answers = [detect(frame) for detect in every]
                if all(len(answer) == 1 for answer in answers):
                    found.append((frame, np.median([answer.landmarks[0] for answer in answers], axis=0)))
    return found


def _share(frame: np.ndarray, landmarks: np.ndarray) -> float:
    """Return the face's height as a share of the frame's."""
    return TEMPLATE_SIDE / np.hypot(*similarity(landmarks, TEMPLATE)[0, :2]) / len(frame)


def _scene(
    frame: np.ndarray, landmarks: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame whose face has `size` percent of its height, and where the landmarks are in it."""
    to_units = similarity(landmarks, TEMPLATE)
    scale = size / 100 * FRAME[1] * np.hypot(*to_units[0, :2]) / TEMPLATE_SIDE
    room = max(0.0, 1 - size / 100) / 2
    target = np.array(FRAME) * (0.5 + rng.uniform(-room, room, 2) * 0.8)
    face = np.linalg.solve(to_units[:, :2], CENTER - to_units[:, 2])  # the face's centre in the frame
    matrix = np.array([[scale, 0, target[0] - scale * face[0]], [0, scale, target[1] - scale * face[1]]])
    if scale < 1:  # an even smaller frame first, so that nothing is aliased
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        inner = matrix @ np.diag([frame.shape[1] / small.shape[1], frame.shape[0] / small.shape[0], 1])
    else:
        small, inner = frame, matrix
    flags = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    image = cv2.warpAffine(small, inner, FRAME, **flags)
    inside = cv2.warpAffine(np.ones(small.shape[:2], np.uint8), inner, FRAME, flags=cv2.INTER_NEAREST)
    background = cv2.GaussianBlur(image, (0, 0), 8)
    return np.where(inside[..., None] > 0, image, background), landmarks @ matrix[:, :2].T + matrix[:, 2]


def _print_row(kind: str, detect: Detector, scenes: dict[int, list[tuple[np.ndarray, np.ndarray]]]) -> None:
    shares, false, begin = [], 0, time.process_time()
    for scene in scenes.values():
        hits = 0
        for image, landmarks in scene:
            found = detect(image)
            off = np.linalg.norm(found.landmarks - landmarks, axis=2).mean(axis=1)
            close = off < TOLERANCE * np.linalg.norm(landmarks[1] - landmarks[0])
            hits += bool(close.any())
            false += int((~close).sum())
        shares.append(100 * hits / len(scene))
    count = sum(map(len, scenes.values()))
    milliseconds = 1e3 * (time.process_time() - begin) / count
    used = detect.options
    cells = [kind, used.max_side, f"{used.pad:g}", *(f"{share:.0f}" for share in shares), false, f"{milliseconds:.0f}"]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    typer.run(main)
