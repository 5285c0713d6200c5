"""The frames of a clip, whose lips move with the speech."""

import cv2
import numpy as np

from emopipe.demo.acting import face_mix, stream
from emopipe.demo.expression import acted, at_strength, envelope, with_speech
from emopipe.demo.face import paint_head
from emopipe.demo.identity import Identity, identity
from emopipe.demo.materials import materials
from emopipe.demo.plan import ClipPlan
from emopipe.demo.scene import FRAME_HEIGHT, FRAME_WIDTH, add_shoulders, compose, poses, room

SENSOR_NOISE = 0.012


def draw_frames(plan: ClipPlan, loudness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw the frames of a clip.

    Args:
        plan: The clip.
        loudness: (frames,) in [0, 1]: how wide the speech opens the mouth.

    Returns:
        The frames (frames, FRAME_HEIGHT, FRAME_WIDTH, 3) uint8 in RGB, and the drawn landmarks (frames, 5, 2) in
        pixels: left eye, right eye, nose, left and right mouth corner from the viewer's side.
    """
    person = identity(plan)
    random = stream(plan, "face")
    apex = acted(face_mix(plan), random)
    strength = envelope(len(loudness), random)
    layers, path = materials(person, random), poses(len(loudness), random)
    behind = room(random)
    add_shoulders(behind, path[0], random)
    noise = SENSOR_NOISE * random.standard_normal((2 * FRAME_HEIGHT, 2 * FRAME_WIDTH, 3), np.float32)
    frames, landmarks = [], []
    for pose, part, voice in zip(path, strength, loudness, strict=True):
        head = paint_head(person, with_speech(at_strength(apex, part), voice), layers)
        frames.append(_camera(compose(behind, head, pose), person, noise, random))
        landmarks.append(head.landmarks @ pose[:, :2].T + pose[:, 2])
    return np.array(frames), np.array(landmarks)


def _camera(image: np.ndarray, person: Identity, noise: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return an image with the warmth of the lamp and sensor noise, another part of it for each frame: uint8."""
    tint = np.float32([1 + person.warmth, 1, 1 - person.warmth])
    top, left = random.integers(np.array(noise.shape[:2]) - image.shape[:2])
    seen = noise[top : top + image.shape[0], left : left + image.shape[1]]
    return cv2.convertScaleAbs(np.clip(image * tint + seen, 0, 1), alpha=255)
