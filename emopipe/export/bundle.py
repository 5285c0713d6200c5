"""The format `bundle`: one folder, or one .zip, that predicts without the corpus, the cache and Snakemake."""

from pathlib import Path

from emopipe.inference.run_results import load_run


def write(run: Path, out: Path) -> list[str]:
    """Write a finished run as a bundle.

    Args:
        run: `results/<run>`.
        out: The folder to make.

    Returns:
        Remarks for the user.

    Raises:
        CacheError: The run is not finished.
    """
    load_run(run)
    out.mkdir(parents=True, exist_ok=True)
    return []
