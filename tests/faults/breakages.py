"""Faults of disks and files: full, forbidden, vanished, damaged, copied from elsewhere; and a device's memory."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from emopipe.backbones import registry
from emopipe.cache.status import UNREADABLE
from emopipe.cache.store import Reader
from emopipe.extraction.extractor import Extractor
from tests.faults.runs import Killable, Outcome, copy_without, differing, wait_for
from tests.workflow.conftest import write_onnx_net

MEDIA = "cache/small/media/few"
DECODED = (f"{MEDIA}/00.h5", f"{MEDIA}/01.h5")
FEATURES = ("cache/small/features/given/00.h5", "cache/small/features/given/01.h5")


def disk_full(whole: Killable) -> Outcome:
    """The disk of the cache is full in the middle of decoding; then there is room again."""
    fault = "disk full in decode"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        return Outcome(fault, True, 0, 0, "skipped: this user may not mount a small disk")
    run = copy_without(whole, "disk_full", MEDIA)
    (run.work / MEDIA).mkdir()
    size = sum((whole.work / path).stat().st_size for path in DECODED)
    # Both runs share the small disk, which goes when the shell ends: what is on it is copied out at the end.
    script = (
        f"mount -t tmpfs -o size={size // 2} tmpfs {MEDIA} && "
        '{ "$@" && exit 3; cp output.txt full.txt; '
        f"mount -o remount,size={size * 20} {MEDIA} && "
        f'"$@" && mkdir kept && cp -r {MEDIA}/. kept; }}'
    )
    code, said = run.run(*DECODED, before=("unshare", "-m", "sh", "-c", script, "sh"))
    if code:
        return Outcome(fault, False, 0, run.twice(), f"ended with {code}: {said[-300:]}")
    shutil.rmtree(run.work / MEDIA)
    shutil.move(run.work / "kept", run.work / MEDIA)
    lost, wrong = differing(whole, run, DECODED)
    if "free some space" not in (run.work / "full.txt").read_text():
        wrong.append("the full disk was not told of")
    return _outcome(fault, run, lost, wrong)


def cache_forbidden(whole: Killable) -> Outcome:
    """The cache may not be written to; then it may."""
    fault = "permission denied in the cache, in faces"
    run = copy_without(whole, "forbidden", "cache/small/faces/main/*.h5")
    targets = ("cache/small/faces/main/00.h5", "cache/small/faces/main/01.h5")
    folder = run.work / "cache/small/faces/main"
    (folder / "another").touch()  # Snakemake removes empty folders
    folder.chmod(0o555)
    before = _without_overriding()
    if before is None:
        return Outcome(fault, True, 0, 0, "skipped: setpriv is not at hand, and root may write anywhere")
    code, said = run.run(*targets, before=before)
    folder.chmod(0o755)
    wrong = [] if code and "Permission denied" in said else ["the denial was not told of"]
    run.finish(*targets)
    lost, differ = differing(whole, run, targets)
    return _outcome(fault, run, lost, wrong + differ)


def clip_unreadable(whole: Killable) -> Outcome:
    """A clip may not be read; the run goes on without it, and takes it in when it may be read."""
    fault = "permission denied for a clip, in decode"
    run = copy_without(whole, "unreadable", MEDIA)
    clip = _a_clip(run)
    before = _without_overriding()
    if before is None:
        return Outcome(fault, True, 0, 0, "skipped: setpriv is not at hand, and root may read anything")
    clip.chmod(0)
    code, said = run.run(*DECODED, before=before)
    wrong = [] if not code and _status(run, clip.stem) == UNREADABLE else [f"no row says so: {said[-300:]}"]
    clip.chmod(0o644)
    run.finish(*DECODED)
    lost, differ = differing(whole, run, DECODED)
    return _outcome(fault, run, lost, wrong + differ, expected_twice=1)


def clip_vanishes(whole: Killable) -> Outcome:
    """A clip vanishes while its shard is decoded, and comes back."""
    fault = "a clip's file vanishes in the middle of decode"
    run = copy_without(whole, "vanishes", MEDIA)
    clip, hidden = _a_clip(run), run.work / "hidden"
    main = run.begin(*DECODED)
    wait_for(lambda: run.lines("computed"), main)
    clip.rename(hidden)
    code = main.wait(300)
    wrong = [] if not code and _status(run, clip.stem) == UNREADABLE else ["no row says so"]
    hidden.rename(clip)
    run.finish(*DECODED)
    lost, differ = differing(whole, run, DECODED)
    return _outcome(fault, run, lost, wrong + differ, expected_twice=1)


def cache_damaged(whole: Killable) -> Outcome:
    """A byte of a cache file is not what was written: the next stage tells, and the file is made anew."""
    fault = "a damaged byte in a faces file, in features"
    run = copy_without(whole, "damaged", "cache/small/features/given/*.h5")
    path = run.work / "cache/small/faces/main/00.h5"
    stat, content = path.stat(), bytearray(path.read_bytes())
    with Reader(path) as reader:
        crop = reader.field(reader.clips[0], "crop").tobytes()
    content[content.index(crop[:64]) + 32] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    code, said = run.run(*FEATURES)
    wrong = [] if code and "is damaged" in said else ["the damage was not told of"]
    run.finish(*FEATURES)
    lost, differ = differing(whole, run, (*FEATURES, "cache/small/faces/main/*.h5"))
    return _outcome(fault, run, lost, wrong + differ)


def cache_copied(whole: Killable) -> Outcome:
    """Features of another network lie where this run's should be: they are refused by their fingerprint."""
    fault = "a stale features file copied in from another run, in merge"
    other = copy_without(whole, "other", "cache/small/features/given*", ".snakemake/metadata/*given*")
    write_onnx_net(other.work / "net.onnx", seed=1)
    other.finish(*FEATURES)
    run = copy_without(whole, "copied", "cache/small/features/given.h5")
    shutil.copy(other.work / FEATURES[0], run.work / FEATURES[0])
    code, said = run.run("cache/small/features/given.h5")
    wrong = [] if code and "was made with other options, code or weights" in said else ["it was not refused"]
    run.finish("cache/small/features/given.h5")  # the file was put out of the way
    lost, differ = differing(whole, run, ("cache/small/features/given.h5",))
    return _outcome(fault, run, lost, wrong + differ)


def fails_after_a_change(whole: Killable) -> Outcome:
    """A job fails after its network changed; Snakemake puts back what the network before had made."""
    fault = "a job of a changed network fails, in features"
    run = copy_without(whole, "changed")
    write_onnx_net(run.work / "net.onnx", seed=1)
    in_the_way = [(run.work / path).with_name(f".{Path(path).stem}.parts") / "lock" for path in FEATURES]
    for path in in_the_way:
        path.mkdir(parents=True)
    code, said = run.run("cache/small/features/given.h5")
    wrong = [] if code and "Restored previous version" in said else ["no job failed and had its output put back"]
    for path in in_the_way:
        path.rmdir()
    run.finish("cache/small/features/given.h5", resume=False)
    other = copy_without(whole, "other_net", "cache/small/features/given*")
    write_onnx_net(other.work / "net.onnx", seed=1)
    other.finish("cache/small/features/given.h5")
    lost, differ = differing(other, run, ("cache/small/features/given.h5", *FEATURES))
    return _outcome(fault, run, lost, wrong + differ)


def memory_of_the_device(_whole: Killable) -> Outcome:
    """A device whose memory holds 5 faces at once is asked to take 16: the batch is halved."""
    fault = "out of memory on the device, in features"
    options = registry.options_class("expression").model_validate({"size": 32, "width": 4, "dim": 8})
    make = {"weights": None, "pretrained": None, "torch_device": torch.device("cpu"), "device": "cpu", "threads": 1}
    whole, small = (Extractor("expression", options, **make) for _ in range(2))
    at_once = []

    def short_of_memory(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        at_once.append(len(inputs[0]))
        if len(inputs[0]) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")

    small._whole.register_forward_pre_hook(short_of_memory)
    batch = np.random.default_rng(0).normal(size=(16, 1, 32, 32)).astype(np.float32)
    same = np.allclose(whole.embed(-1, batch)["x"], small.embed(-1, batch)["x"], atol=1e-5)
    return Outcome(fault, same and at_once == [16, 8, 4, 4, 4, 4], 0, 0, f"batches tried: {at_once}")


SHORT: list[Callable[[Killable], Outcome]] = [cache_damaged]
ALL = [
    disk_full,
    cache_forbidden,
    clip_unreadable,
    clip_vanishes,
    cache_damaged,
    cache_copied,
    fails_after_a_change,
    memory_of_the_device,
]


def _outcome(fault: str, run: Killable, lost: int, wrong: list[str], expected_twice: int = 0) -> Outcome:
    """With what is wrong; clips that had been flushed are not computed again, but for those that failed before."""
    if (again := run.flushed_again()) > expected_twice:
        wrong.append(f"{again} clips computed again though they had been flushed")
    return Outcome(fault, not wrong, lost, run.twice() - expected_twice, "; ".join(wrong))


def _a_clip(run: Killable) -> Path:
    """The file of the clip that its shard comes to last."""
    with Reader(run.work.parent / "undisturbed" / DECODED[1]) as reader:
        last = reader.clips[-1]
    return next((run.work / "corpus").rglob(f"{last}.*"))


def _status(run: Killable, clip: str) -> str:
    statuses = {}
    for path in DECODED:
        if (run.work / path).is_file():
            with Reader(run.work / path) as reader:
                statuses |= reader.status
    return statuses.get(clip, "nothing")


def _without_overriding() -> tuple[str, ...] | None:
    """A command that takes root's right to pass over permissions; nothing for others."""
    if os.getuid():
        return ()
    drop = ("setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search")
    works = shutil.which("setpriv") and not subprocess.run([*drop, sys.executable, "-c", ""]).returncode
    return drop if works else None
