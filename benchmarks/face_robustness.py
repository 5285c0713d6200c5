"""How well a face network recognises emotions in degraded stills: blur, JPEG, low light, few pixels, half profiles.

Each degradation has three strengths and is made from the picture itself, before its face is cropped, by OpenCV and
NumPy. They are not those of the augmentation in training (`emopipe.training.degrade_image`): defocus instead of
Gaussian and motion blur, files of a real JPEG encoder, light and photons in linear units, other filters of scaling, and
a round head that turns in perspective. So a network that was trained with augmentation has met similar ones, but not
exactly these.

    python benchmarks/face_robustness.py expression --corpus fer2013:DATA/fer2013.zip --split val [--limit 500]

Prints a row for each degradation and strength, with 95 % intervals. If the network knows what it was trained on, and
stills are copies of that, the last columns are without these. Equal calls print equal tables.
"""

import dataclasses
import functools
import itertools
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer

from emopipe.evaluation import networks, samples, scoring
from emopipe.faces import detectors
from emopipe.runtime import device as devices

Picture = np.ndarray
"""(H, W, 3) uint8 BGR."""

PHOTONS = 1000
"""Photons that a pixel counts at white in full light."""
HEAD_RADIUS = 0.8
"""The head's radius, as a share of half the picture's side."""
CAMERA = 6.0
"""Distance of the camera from the head's axis, in the same unit."""
EYE_ANGLE = math.radians(23)
"""Where the eyes are on the head, from its middle."""


def blur(picture: Picture, radius: float) -> Picture:
    """Blur as a lens does that is out of focus: the mean over a disc, whose radius is a share of the side."""
    pixels = radius * min(picture.shape[:2])
    reach = math.ceil(pixels)
    at = np.arange(-reach, reach + 1)
    disc = (pixels + 0.5 - np.hypot(at, at[:, None])).clip(0, 1)
    return cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE)


def jpeg(picture: Picture, quality: float) -> Picture:
    """Compress the picture as JPEG and read it again; a grey picture as a grey file."""
    is_grey = _is_grey(picture)
    _, file = cv2.imencode(".jpg", picture[..., :1] if is_grey else picture, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return cv2.imdecode(file, cv2.IMREAD_COLOR)


def low_light(picture: Picture, exposure: float) -> Picture:
    """Show the picture at a share of its light, as a sensor that counts photons (shot noise) without amplifying."""
    encoded = (picture[..., :1] if _is_grey(picture) else picture) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)  # sRGB, IEC 61966-2-1
    counted = _rng(picture).poisson(PHOTONS * exposure * linear) / PHOTONS
    shown = np.where(counted <= 0.0031308, 12.92 * counted, 1.055 * counted.clip(0.0031308) ** (1 / 2.4) - 0.055)
    return np.broadcast_to((255 * shown.clip(0, 1)).round().astype(np.uint8), picture.shape).copy()


def small(picture: Picture, share: float) -> Picture:
    """Scale the picture down to a share of its side, by areas, and up again, bicubically."""
    height, width = picture.shape[:2]
    sides = max(1, round(share * width)), max(1, round(share * height))
    return cv2.resize(
        cv2.resize(picture, sides, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_CUBIC
    )


def half_profile(picture: Picture, degrees: float) -> Picture:
    """Turn the head, a cylinder whose axis is vertical, to the left or right, in perspective.

    The middle of the eyes stays in its column. What the picture does not show, such as an ear, repeats its edge. The
    background does not turn.
    """
    height, width = picture.shape[:2]
    angle = math.radians(degrees) * _rng(picture).choice([-1, 1])
    # 1. The pixels in units of half the side; the eyes are moved to the middle.
    unit = min(height, width) / 2
    eyes = np.array([angle - EYE_ANGLE, angle + EYE_ANGLE])
    moved = (HEAD_RADIUS * np.sin(eyes) * CAMERA / (CAMERA - HEAD_RADIUS * np.cos(eyes))).mean()
    u = (np.arange(width) - (width - 1) / 2)[None] / unit + moved  # (1, W)
    v = (np.arange(height) - (height - 1) / 2)[:, None] / unit  # (H, 1)
    # 2. The ray of a pixel is (u (1 - s), v (1 - s), CAMERA s). Its nearest point on the cylinder x^2 + z^2 = r^2:
    root = u**4 - (u**2 + CAMERA**2) * (u**2 - HEAD_RADIUS**2)
    s = (u**2 + np.sqrt(root.clip(0))) / (u**2 + CAMERA**2)
    # 3. The same point of the head before it was turned; not behind the edge that a frontal picture shows.
    before = np.arctan2(u * (1 - s), CAMERA * s) - angle  # from the head's middle, in radians
    before = before.clip(-math.acos(HEAD_RADIUS / CAMERA), math.acos(HEAD_RADIUS / CAMERA))
    scale = CAMERA / (CAMERA - HEAD_RADIUS * np.cos(before))
    x, y = HEAD_RADIUS * np.sin(before) * scale, v * (1 - s) * scale
    is_head = root >= 0
    columns = np.where(is_head, x, u) * unit + (width - 1) / 2
    rows = np.where(is_head, y, v) * unit + (height - 1) / 2
    maps = [np.broadcast_to(each, (height, width)).astype(np.float32) for each in (columns, rows)]
    return cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


DEGRADATIONS: dict[str, tuple[Callable[[Picture, float], Picture], dict[str, float]]] = {
    "blur": (blur, {"radius 3 % of the side": 0.03, "6 %": 0.06, "9 %": 0.09}),
    "JPEG": (jpeg, {"quality 30": 30, "15": 15, "7": 7}),
    "low light": (low_light, {"1/4 of the light": 1 / 4, "1/8": 1 / 8, "1/16": 1 / 16}),
    "small faces": (small, {"1/2 of the side": 1 / 2, "1/3": 1 / 3, "1/4": 1 / 4}),
    "half profiles": (half_profile, {"15 degrees": 15, "30": 30, "45": 45}),
}
"""Name -> what degrades a picture, and its three strengths by their names."""


def main(
    network: Annotated[str, typer.Argument(help="A name of the registry that has classes, or a file of weights.")],
    corpus: Annotated[str, typer.Option(help="KIND:PATH of a corpus of stills.")],
    split: Annotated[list[str] | None, typer.Option(help="Use only this split. May be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many stills, spread over the corpus; 0: all.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
) -> None:
    """Print the table in Markdown."""
    opened = networks.open_network(network, device=devices.prepare("cpu", threads), threads=threads)
    kind, _, path = corpus.partition(":")
    given = samples.Corpus(kind, Path(path), tuple(split or ()))
    for number, (name, strength, scores) in enumerate(measure(opened, given, limit)):
        without_copies = any(scores.seen.values())
        if not number:
            _print_header(without_copies)
        cells = [name, strength, *_cells(scores), *(_cells(scores.unseen) if without_copies else ())]
        print(f"| {' | '.join(cells)} |", flush=True)


def measure(
    network: networks.Network, corpus: samples.Corpus, limit: int = 0
) -> Iterator[tuple[str, str, scoring.Scores]]:
    """Yield the names of each degradation and strength, and the scores; first those of the stills as they are."""
    yield "none", "", _scores(network, corpus, limit, None)
    for name, (degrade, strengths) in DEGRADATIONS.items():
        for text, strength in strengths.items():
            yield name, text, _scores(network, corpus, limit, functools.partial(_degraded, degrade, strength))


def _degraded(degrade: Callable[[Picture, float], Picture], strength: float, picture: Picture) -> Picture:
    return degrade(picture, strength)


def _scores(
    network: networks.Network, corpus: samples.Corpus, limit: int, change: Callable[[Picture], Picture] | None
) -> scoring.Scores:
    """Return the scores on the stills, as `emopipe evaluate` computes them."""

    def detector() -> detectors.Detector:
        raise typer.BadParameter("The corpus has clips, but stills are needed. Give a corpus of stills.")

    how = {"detector": detector, "detect": False, "flip": True, "classes": network.classes, "change": change}
    whole = samples.open_corpus(corpus, network.spec, trained_on=network.trained_on, **how)
    step = math.ceil(whole.size / limit) if limit else 1

    def some() -> Iterator[samples.Sample]:
        return itertools.islice(whole.read(), 0, None, step)

    return scoring.score(network, dataclasses.replace(whole, size=math.ceil(whole.size / step), read=some))


def _print_header(without_copies: bool) -> None:
    columns = ["n", "accuracy %", "UAR %"]
    columns = ["degradation", "strength", *columns, *([f"{name}, not trained on" for name in columns] * without_copies)]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def _cells(scores: scoring.Scores) -> list[str]:
    """Return n, accuracy and UAR, in percent with intervals."""
    found, _ = scores.interval
    bounds = [f" [{100 * low:.1f}, {100 * high:.1f}]" for low, high in zip(found.low[:2], found.high[:2], strict=True)]
    return [f"{scores.n}", f"{100 * scores.accuracy:.1f}{bounds[0]}", f"{100 * scores.uar:.1f}{bounds[1]}"]


def _is_grey(picture: Picture) -> bool:
    return bool((picture == picture[..., :1]).all())


def _rng(picture: Picture) -> np.random.Generator:
    """Return random numbers that are the same for equal pictures, in any order."""
    return np.random.default_rng(zlib.crc32(picture.tobytes()))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    typer.run(main)
