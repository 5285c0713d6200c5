"""Stage page: the results of a run and the caches -> one HTML page that a browser shows without a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emopipe.core.labels import of_recipe
from emopipe.core.log import LOGGER
from emopipe.report.clip import gathering
from emopipe.report.page import whole
from emopipe.report.page.sources import Sources


def run(
    recipe: Mapping[str, Any],
    folder: Path,
    clips: Path,
    stages: Mapping[str, Sequence[Path]],
    media: Mapping[str, Sequence[Path]],
    faces: Mapping[str, Sequence[Path]],
    presets: Mapping[str, str],
    histories: Mapping[str, Path],
    output: Path,
) -> None:
    """Write the page of a run.

    Args:
        recipe: `Plan.page`.
        folder: The folder of the run, with all that the report stage writes, predictions/ and attention/.
        clips: The clip table.
        stages: Stage -> its files, as in the report stage.
        media: Preset of decode -> its files; those that are not kept are not there.
        faces: Preset of faces -> its files.
        presets: Backbone -> the preset that it reads: of faces, or of decode for sound.
        histories: Backbone -> the history of its training; those of networks from elsewhere are not there.
        output: The HTML file to write.
    """
    there = {name: path for name, path in histories.items() if path.is_file()}
    kept = {preset: [path for path in paths if path.is_file()] for preset, paths in media.items()}
    of_clips = gathering.Sources(folder, clips, kept, faces, presets, of_recipe(recipe["report"]))
    whole.write(Sources(of_clips, stages, there, recipe), output)
    LOGGER.info(f"The page of the run: {output}, {output.stat().st_size / 1e6:.1f} MB. Open it in a browser.")
