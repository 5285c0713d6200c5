"""The demo corpus: video files that this package draws and speaks, so that the pipeline can run on any machine."""

import hashlib
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.fingerprint import code_fingerprint
from emopipe.core.log import Progress
from emopipe.corpora.table import from_rows
from emopipe.demo.plan import ClipPlan, DemoOptions, plan

CorpusOptions = DemoOptions


def scan(root: Path, options: DemoOptions) -> pd.DataFrame:
    """Return the clip table with digests, whether or not the clips have been drawn; `root` is not used.

    The test split has no labels, as in a challenge. The file name of a clip contains its digest, so that a clip that
    is drawn differently has another file.
    """
    rows, code = [], code_fingerprint("emopipe.demo.video:draw_clip")
    for clip in plan(options):
        digest = hashlib.sha256(f"{clip.digest()}/{code}".encode()).hexdigest()
        label = "" if clip.split == "test" else clip.label
        path = f"{clip.clip}.{digest[:8]}.{clip.container}"
        rows.append(
            {
                "clip": clip.clip,
                "path": path,
                "split": clip.split,
                "label": label,
                "subject": clip.subject,
                "digest": digest,
            }
        )
    return from_rows(rows).sort_values("clip", ignore_index=True)


def draw(root: Path, options: DemoOptions, workers: int) -> None:
    """Draw the missing clips into the folder `root`, and remove all other files from it.

    Args:
        root: The folder; it is created if necessary.
        options: Which clips to draw.
        workers: The number of processes.

    Raises:
        CorpusError: The speech synthesizer, which is in the extra `demo`, is not installed.
    """
    try:
        import parselmouth  # noqa: F401
    except ImportError as error:
        raise CorpusError(
            "The demo corpus needs the package praat-parselmouth for its speech, but it is not installed. Run `make "
            "setup`, or `pip install --no-deps praat-parselmouth`."
        ) from error
    root.mkdir(parents=True, exist_ok=True)
    table = scan(root, options)
    paths = dict(zip(table["clip"], table["path"], strict=True))
    for stray in {path.name for path in root.iterdir()} - set(paths.values()):
        (root / stray).unlink()
    missing = [(clip, root / paths[clip.clip]) for clip in plan(options) if not (root / paths[clip.clip]).is_file()]
    progress = Progress("drawing the demo corpus", len(missing))
    # Spawned, not forked: this process has loaded libraries whose threads do not survive a fork.
    # Ctrl-C reaches all processes of a terminal. This one ends the others, which would only show a traceback each.
    quiet = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), **quiet) as pool:
        for _ in pool.map(_draw_one, missing, chunksize=4):
            progress.advance()


def _draw_one(job: tuple[ClipPlan, Path]) -> None:
    from emopipe.demo.video import draw_clip

    draw_clip(*job)
