"""Extraction against a plain script and against what the machine can do.

    python benchmarks/extraction.py CORPUS --face-net mobilefacenet.onnx [--detector scrfd --weights FILE] [--every 3]

CORPUS has the form of AFEW. The same clips, 16 frames of each, MobileFaceNet and the shipped network of the log-Mel
spectrogram go through:

- floor: all cores decode all frames and the sound, and run the networks alone on inputs that are ready, in the best
  batch of 1, 8 and 32. Nothing is converted, scaled, aligned, checked or written.
- script: `plain_extraction.py`, in a process of its own.
- start: the pipeline on two clips, which is the time of Snakemake, planning and imports.
- pipeline: `snakemake extract` in an empty folder.

Prints wall time, clips and frames a second, faces, the most memory of one process, and what was written; then ratios.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import av
import cv2
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import torch
import typer
import yaml

from emopipe.backbones import registry
from emopipe.backbones.for_inference import for_inference
from emopipe.cache.store import Reader
from emopipe.faces import detectors
from emopipe.faces.crops import read_crops
from emopipe.media.decoded import decode_jpeg
from emopipe.media.spectrogram import compute_spectrogram
from emopipe.media.wave import read_wave

REPOSITORY = Path(__file__).parents[1]
SPEECH = str(resources.files("emopipe.weights") / "files" / "speech_logmel.safetensors")
CLIPS = (".avi", ".mp4", ".flv", ".mkv")
SAMPLE_FRAMES = 160
"""Frames by which the floor of detection is measured."""
BATCHES = (1, 8, 32)


@dataclass
class Row:
    """What one way took."""

    seconds: float
    clips: int
    frames: int = 0
    faces: int = 0
    peak_mb: float = 0.0
    written_mb: float = 0.0

    def line(self, name: str) -> str:
        """Return the row of the table."""
        cells = (f"{self.seconds:8.1f}", f"{self.clips / self.seconds:8.1f}", f"{self.frames / self.seconds:9.1f}")
        return f"{name:10}" + "".join(cells) + f"{self.faces:8}{self.peak_mb:9.0f}{self.written_mb:11.1f}"


def main(
    corpus: Annotated[Path, typer.Argument(help="A corpus in the form of AFEW.")],
    face_net: Annotated[Path, typer.Option(help="MobileFaceNet as an ONNX file.")],
    detector: Annotated[str, typer.Option(help="mtcnn, centerface, scrfd or yunet.")] = "mtcnn",
    weights: Annotated[Path | None, typer.Option(help="The detector's file, if no package has it.")] = None,
    every: Annotated[int, typer.Option(help="The pipeline searches every n-th frame for faces.")] = 1,
    cores: Annotated[int, typer.Option(help="CPU cores.")] = 2,
    script: Annotated[str, typer.Option(help="The script's detector; empty: it is not run.")] = "mtcnn",
    floor: Annotated[bool, typer.Option(help="Whether the floor is measured.")] = True,
    plot: Annotated[Path | None, typer.Option(help="A picture of the wall times to write.")] = None,
) -> None:
    """Print the table and the ratios."""
    corpus, face_net = corpus.absolute(), face_net.absolute()
    weights = weights.absolute() if weights else None
    print(f"{cores} cores, {detector}, every {every}\n{'':10}  wall s  clips/s frames/s    faces  peak MB written MB")
    rows: dict[str, float] = {}
    with TemporaryDirectory() as work:
        config = run_config(detector, weights, face_net, every, cores)
        start = pipeline(two_clips(corpus, Path(work)), Path(work, "start"), config, cores)
        print(start.line("start"), flush=True)
        found = pipeline(corpus, Path(work, "run"), config, cores)
        print(found.line("pipeline"), flush=True)
        if script:
            plain = plain_script(corpus, Path(work, "plain"), script, weights, face_net)
            print(plain.line("script"), flush=True)
        if floor:
            parts = floors(corpus, Path(work, "run", "cache", "bench"), detector, weights, face_net, cores)
            least = Row(sum(parts.values()), found.clips, found.frames, found.faces)
            print(least.line("floor"), "of which " + ", ".join(f"{k} {v:.1f}" for k, v in parts.items()))
            rows["floor"] = least.seconds
    rows |= {"start": start.seconds, "pipeline": found.seconds}
    print(f"start, of the pipeline's time: {start.seconds / found.seconds:.2f}")
    if script:
        rows[f"script, {script}"] = plain.seconds
        print(f"script / pipeline: {plain.seconds / found.seconds:.2f}, faces {found.faces / max(1, plain.faces):.3f}")
    if floor:
        print(f"floor / pipeline: {least.seconds / found.seconds:.2f}")
    if plot:
        draw(rows, f"{found.clips} clips, {cores} cores, {detector}", plot)


def draw(rows: dict[str, float], title: str, path: Path) -> None:
    """Draw the wall times as bars."""
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(rows) + 0.9), layout="constrained")
    bars = axes.barh(list(rows)[::-1], list(rows.values())[::-1], color="#4477aa")
    axes.bar_label(bars, fmt="%.0f s", padding=3)
    axes.margins(x=0.12)
    axes.set(title=title, xlabel="wall time in seconds")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def run_config(detector: str, weights: Path | None, face_net: Path, every: int, cores: int) -> dict[str, Any]:
    """Return the config of the pipeline."""
    options = {"options": {"weights": str(weights)}} if weights else {}
    return {
        "run": "bench",
        "corpus": {"name": "bench", "kind": "afew"},
        "threads": cores,
        "device": "cpu",
        "decode": {"sixteen": {"policy": "count", "count": 16}},
        "faces": {"main": {"detector": detector, "every": every, **options}},
        "backbones": {
            "face": {"kind": "mobilefacenet", "weights": str(face_net), "options": {"size": 112}},
            "voice": {"kind": "speech", "weights": "speech_logmel"},
        },
    }


def two_clips(corpus: Path, work: Path) -> Path:
    """Return a corpus with the first training clip and the first validation clip of the given one."""
    for split in ("Train_AFEW", "Val_AFEW"):
        first = min((path for path in (corpus / split).rglob("*") if path.suffix in CLIPS), key=str)
        copy = work / "two" / first.relative_to(corpus)
        copy.parent.mkdir(parents=True)
        shutil.copy(first, copy)
    return work / "two"


def pipeline(corpus: Path, folder: Path, config: dict[str, Any], cores: int) -> Row:
    """Run the workflow up to the features in an empty folder."""
    folder.mkdir()
    (folder / "bench.yaml").write_text(yaml.safe_dump({**config, "corpus_root": str(corpus)}))
    command = ["snakemake", "-s", REPOSITORY / "Snakefile", "--cores", str(cores), "--configfile", "bench.yaml"]
    seconds, _ = timed([*map(str, command), "--", "extract"], folder)
    cache = folder / "cache" / "bench"
    frames = faces = clips = 0
    for path in sorted((cache / "faces" / "main").glob("*.h5")):
        with Reader(path) as reader:
            clips += len(reader.clips)
            masks = [reader.field(clip, "mask") for clip in reader.clips]
            frames, faces = frames + sum(map(len, masks)), faces + int(sum(mask.sum() for mask in masks))
    written = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) / 1e6
    peaks = [path.read_text().splitlines()[-1].split("\t")[2] for path in (cache / "benchmarks").rglob("*.tsv")]
    return Row(seconds, clips, frames, faces, max(float(peak) for peak in peaks if peak != "-"), written)


def plain_script(corpus: Path, out: Path, detector: str, weights: Path | None, face_net: Path) -> Row:
    """Run the plain script."""
    command = [sys.executable, str(Path(__file__).with_name("plain_extraction.py")), str(corpus), str(out)]
    command += ["--detector", detector, "--face-net", str(face_net), *(["--weights", str(weights)] if weights else [])]
    seconds, printed = timed(command, out.parent)
    count = json.loads(printed.splitlines()[-1])
    written = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    return Row(
        seconds, **count, peak_mb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3, written_mb=written
    )


def timed(command: Sequence[str], folder: Path) -> tuple[float, str]:
    """Return the wall time of a command in seconds and what it printed; the error of one that fails is shown."""
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": scripts}
    begin = time.perf_counter()
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{run.stdout}{run.stderr}")
    return time.perf_counter() - begin, run.stdout


# -- the floor --------------------------------------------------------------------------------------------------


def floors(
    corpus: Path, cache: Path, detector: str, weights: Path | None, face_net: Path, cores: int
) -> dict[str, float]:
    """Return the seconds of decoding and of each network alone, on all cores, over all clips."""
    files = sorted(path for path in corpus.rglob("*") if path.suffix in CLIPS)
    found = {"decoding": on_all_cores(decode_all, files, cores)}
    media, faces = sorted((cache / "media" / "sixteen").glob("??.h5")), sorted((cache / "faces" / "main").glob("??.h5"))
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    frames, n_frames = frames_of(media)
    found["detection"] = detection(frames, detector, weights, cores) * n_frames / len(frames)
    found["faces"] = face_network(faces, face_net, cores)
    found["sound"] = sound_network(media, cores)
    return found


def on_all_cores(run: Callable[[Any], object], inputs: Iterable[Any], cores: int) -> float:
    """Return the seconds of a function for all inputs, in as many threads as cores."""
    with ThreadPoolExecutor(cores) as pool:
        begin = time.perf_counter()
        list(pool.map(run, inputs))
        return time.perf_counter() - begin


def decode_all(path: Path) -> None:
    """Decode all frames and all sound of a file."""
    with av.open(str(path)) as container:
        for stream in container.streams:
            stream.thread_type = "NONE"
        for packet in container.demux():
            packet.decode()


def frames_of(media: Sequence[Path]) -> tuple[list[np.ndarray], int]:
    """Return SAMPLE_FRAMES frames (or fewer), evenly spaced, and the number of all."""
    jpegs: list[np.ndarray] = []
    for path in media:
        with Reader(path) as reader:
            for clip in reader.clips:
                if len(sizes := reader.field(clip, "jpeg_size")):
                    jpegs += np.split(reader.field(clip, "jpeg"), np.cumsum(sizes)[:-1])
    return [decode_jpeg(jpeg) for jpeg in jpegs[:: max(1, len(jpegs) // SAMPLE_FRAMES)]], len(jpegs)


def detection(frames: Sequence[np.ndarray], kind: str, weights: Path | None, cores: int) -> float:
    """Return the seconds that the detector's networks take for some frames, by replaying their inputs in batches."""
    options = detectors.options_class(kind).model_validate({"weights": str(weights)} if weights else {})
    detect = detectors.build(kind, options)
    calls: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    run = onnxruntime.InferenceSession.run

    def recorded(session: Any, outputs: Any, inputs: dict[str, np.ndarray], *rest: Any) -> Any:
        ((name, x),) = inputs.items()
        calls[session, name, tuple(outputs or ()), x.shape[1:]].append(x)
        return run(session, outputs, inputs, *rest)

    onnxruntime.InferenceSession.run = recorded
    try:
        for frame in frames:
            detect(frame)
    finally:
        onnxruntime.InferenceSession.run = run
    best = []
    for batch in BATCHES:
        works = [
            (session, name, outputs, part)
            for (session, name, outputs, _), arrays in calls.items()
            for part in batches(np.concatenate(arrays), largest(session, batch))
        ]
        best.append(on_all_cores(lambda work: run(work[0], list(work[2]) or None, {work[1]: work[3]}), works, cores))
    return min(best)


def largest(session: Any, batch: int) -> int:
    """Return the size of a batch, or that of the network if it takes one size alone."""
    size = session.get_inputs()[0].shape[0]
    return size if isinstance(size, int) else batch


def batches(array: np.ndarray, size: int) -> list[np.ndarray]:
    """Return an array in parts of at most so many rows."""
    return [array[start : start + size] for start in range(0, len(array), size)]


def face_network(faces: Sequence[Path], face_net: Path, cores: int) -> float:
    """Return the seconds of the face network for all faces."""
    options = registry.options_class("mobilefacenet").model_validate({"size": 112})
    network, takes = registry.build("mobilefacenet", options), registry.spec("mobilefacenet", options).input
    registry.load("mobilefacenet", options, network, str(face_net))
    network = for_inference(network, torch.device("cpu"))
    crops = []
    for path in faces:
        with Reader(path) as reader:
            crops += [takes.prepare(read_crops(reader, clip, takes)) for clip in reader.clips]
    ready = np.concatenate(crops)
    return min(on_all_cores(alone(network), batches(ready, batch), cores) for batch in BATCHES)


def alone(network: torch.nn.Module) -> Callable[[np.ndarray], object]:
    """Return a function that runs a network on a batch."""

    @torch.inference_mode()  # it holds for one thread
    def run(batch: np.ndarray) -> torch.Tensor:
        return network(torch.from_numpy(batch))

    return run


def sound_network(media: Sequence[Path], cores: int) -> float:
    """Return the seconds of the sound network for all clips."""
    options = registry.options_class("speech").model_validate({"spectrum": {"kind": "logmel"}})
    network, takes = registry.build("speech", options), registry.spec("speech", options).input
    registry.load("speech", options, network, SPEECH)
    network = for_inference(network, torch.device("cpu"))
    ready = []
    for path in media:
        with Reader(path) as reader:
            waves = [read_wave(reader, clip) for clip in reader.clips]
            ready += [compute_spectrogram(wave, takes.options)[None] for wave in waves if len(wave)]
    return on_all_cores(alone(network), ready, cores)


if __name__ == "__main__":
    typer.run(main)
