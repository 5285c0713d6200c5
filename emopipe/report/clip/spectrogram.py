"""The sound of a clip: its log-Mel spectrogram, and above it the attention of the models over time."""

from typing import TYPE_CHECKING

import numpy as np

from emopipe.media.spectrogram import LogMelOptions, band_centres, frame_times, log_mel
from emopipe.report.clip import drawing
from emopipe.report.clip.over_time import draw_attention
from emopipe.report.clip.story import AUDIO, ClipStory, Media

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 1000
"""How many columns a drawn spectrogram has at most; longer sounds are averaged, which takes less memory."""
MARKED_HZ = (100, 500, 1000, 2000, 4000)
"""Frequencies that the axis names."""
SMALL_LINES = 36
"""Height of the attention above a small spectrogram, in pixels."""
SMALL_HEIGHT = 80
"""Height of a small spectrogram, in pixels."""
SMALL_TIMES = 14
"""Height of the times below it, in pixels."""


def spectrogram_image(story: ClipStory, width: int = 480) -> bytes | None:
    """Return a small spectrogram as JPEG, with the attention of all models above it and seconds below it.

    Args:
        story: The clip.
        width: In pixels.

    Returns:
        None if the story has no sound.
    """
    if story.shown_sound is None:
        return None
    preset, media = story.shown_sound
    attention = story.attention_of(AUDIO, preset)
    lines = SMALL_LINES if attention else 0
    height = lines + SMALL_HEIGHT + SMALL_TIMES
    with drawing.style():
        figure = drawing.new_figure(width, height)
        axes = figure.add_axes((0, SMALL_TIMES / height, 1, SMALL_HEIGHT / height))
        draw_spectrogram(axes, media)
        drawing.bare(axes)
        for share, place in ((0.0, "left"), (0.5, "center"), (1.0, "right")):
            time = media.audio_start + share * media.sound_seconds
            figure.text(share, SMALL_TIMES / 2 / height, f"{time:.1f} s", ha=place, va="center", fontsize=7)
        if attention:
            above = figure.add_axes((0, 1 - lines / height, 1, lines / height), sharex=axes)
            draw_attention(above, attention, named=False)
            drawing.bare(above)
            axes.set_xlim(media.audio_start, media.audio_start + media.sound_seconds)
        return drawing.to_jpeg(figure)


def draw_spectrogram(axes: "Axes", media: Media) -> None:
    """Draw the log-Mel spectrogram of a sound over seconds; light is loud, and the darkest is 80 dB below the loudest.

    Args:
        axes: Where to draw.
        media: A clip with sound.
    """
    options = LogMelOptions()
    mel = _reduced(log_mel(media.audio.astype(np.float32) / 32_768, options)[0])  # (bands, columns)
    end = media.audio_start + max(media.sound_seconds, float(frame_times(2)[1]))
    axes.imshow(
        mel,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=0,
        vmax=options.range_db / 20,
        extent=(media.audio_start, end, -0.5, len(mel) - 0.5),
    )
    bands = [int(np.abs(band_centres(options) - hz).argmin()) for hz in MARKED_HZ]
    axes.set_yticks(bands, [f"{hz} Hz" for hz in MARKED_HZ])


def _reduced(mel: np.ndarray) -> np.ndarray:
    """Return a spectrogram (bands, T) with at most COLUMNS columns, each the mean of its frames."""
    step = -(-mel.shape[1] // COLUMNS)
    starts = np.arange(0, mel.shape[1], step)
    return np.add.reduceat(mel, starts, axis=1) / np.diff([*starts, mel.shape[1]])
