"""What is seen: the frames of a clip, with the lips in step with the speech."""

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
    """Draw the pictures of a clip.

    Args:
        plan: the clip.
        loudness: how far the speech opens the mouth, (frames,) in [0, 1].

    Returns:
        The frames (frames, FRAME_HEIGHT, FRAME_WIDTH, 3) uint8 in RGB, and where the landmarks were drawn:
        (frames, 5, 2) pixels, in the order left eye, right eye, nose, left and right mouth corner as seen.
    """
    person = identity(plan)
    random = stream(plan, "face")
    apex = acted(face_mix(plan), random)
    strength = envelope(len(loudness), random)
    stuff, path = materials(person, random), poses(len(loudness), random)
    behind = room(random)
    add_shoulders(behind, path[0], random)
    noise = SENSOR_NOISE * random.standard_normal((2 * FRAME_HEIGHT, 2 * FRAME_WIDTH, 3), np.float32)
    frames, landmarks = [], []
    for pose, part, voice in zip(path, strength, loudness, strict=True):
        head = paint_head(person, with_speech(at_strength(apex, part), voice), stuff)
        frames.append(_camera(compose(behind, head, pose), person, noise, random))
        landmarks.append(head.landmarks @ pose[:, :2].T + pose[:, 2])
    return np.array(frames), np.array(landmarks)


def _camera(picture: np.ndarray, person: Identity, noise: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The lamp's warmth and the sensor's noise, of which every frame sees another part: uint8."""
    tint = np.float32([1 + person.warmth, 1, 1 - person.warmth])
    top, left = random.integers(np.array(noise.shape[:2]) - picture.shape[:2])
    seen = noise[top : top + picture.shape[0], left : left + picture.shape[1]]
    return cv2.convertScaleAbs(np.clip(picture * tint + seen, 0, 1), alpha=255)
