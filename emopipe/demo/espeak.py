"""A program that speaks a sentence with the eSpeak inside Praat and writes its samples to standard output.

eSpeak keeps the state of its oscillators from one sentence to the next, so the same sentence sounds different the
second time. Only the first sentence of a process is reproducible. Therefore each sentence has its own process. The
program imports nothing of emopipe, to start fast.
"""

import json
import sys

from parselmouth.praat import call

LANGUAGE = "English (Great Britain)"
WORD_GAP_S = 0.01


def main() -> None:
    """Read `{text, voice, pitch, pitch_range, rate, sample_rate}` as JSON, and write mono float32 samples."""
    wanted = json.load(sys.stdin)
    synthesizer = call("Create SpeechSynthesizer", LANGUAGE, wanted["voice"])
    call(
        synthesizer,
        "Speech output settings",
        wanted["sample_rate"],
        WORD_GAP_S,
        wanted["pitch"],
        wanted["pitch_range"],
        wanted["rate"],
        "IPA",
    )
    sound = call(synthesizer, "To Sound", wanted["text"], "no")[0]
    sys.stdout.buffer.write(sound.values[0].astype("<f4").tobytes())


if __name__ == "__main__":
    main()
