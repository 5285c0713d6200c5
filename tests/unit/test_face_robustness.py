"""The benchmark of face networks on degraded stills, and the stills that it makes."""

from functools import partial

import cv2
import numpy as np
import pytest

from benchmarks import face_robustness
from emopipe.backbones.base import AudioInput, Spec
from emopipe.core.errors import ConfigError
from emopipe.core.labels import CLASSES
from emopipe.evaluation import samples
from emopipe.evaluation.networks import Network
from emopipe.faces.crops import FaceInput
from emopipe.media.spectrogram import LogMelOptions

SIDE = 48
SPEC = Spec("face", FaceInput(112.0, SIDE, "gray", (0.0,), (1.0,)), 7, "", "")


def noise(seed=0, side=SIDE):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def grey(seed=0):
    return np.repeat(noise(seed)[..., :1], 3, 2)


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    """Two grey stills of each class; the class sets the level of grey."""
    root = tmp_path_factory.mktemp("stills")
    for number, label in enumerate(CLASSES):
        (root / "val" / label).mkdir(parents=True)
        for seed in range(2):
            picture = (20 + 30 * number + grey(seed).astype(int) // 32).astype(np.uint8)
            cv2.imwrite(str(root / "val" / label / f"{seed}.png"), picture)
    return samples.Corpus("folder", root, ("val",))


@pytest.fixture
def network():
    """It goes by the mean level of grey, so it is correct on stills as they are and wrong in the dark."""

    def probabilities(batch):
        found = ((batch.mean((1, 2, 3)) - 23.5) / 30).round().astype(int).clip(0, 6)
        return np.eye(7)[found]

    return Network("level", SPEC, probabilities)


@pytest.mark.slow
def test_every_degradation_has_a_row_and_clean_stills_come_first(stills, network):
    rows = list(face_robustness.measure(network, stills))
    assert [name for name, _, _ in rows] == ["none", *(name for name in face_robustness.DEGRADATIONS for _ in range(3))]
    assert all(scores.n == 14 for _, _, scores in rows)
    found = {(name, strength): scores.accuracy for name, strength, scores in rows}
    assert found["none", ""] == found["half profiles", "15 degrees"] == 1
    assert found["low light", "1/4 of the light"] < 0.6
    again = list(face_robustness.measure(network, stills))
    assert all(one.answers.equals(other.answers) for (_, _, one), (_, _, other) in zip(rows, again, strict=True))


def test_a_limit_spreads_over_the_classes(stills, network):
    _, _, scores = next(face_robustness.measure(network, stills, limit=7))
    assert scores.n == 7 and sorted(scores.table["label"]) == list(range(7))


def test_it_prints_a_table(stills, network, monkeypatch, capsys):
    monkeypatch.setattr(face_robustness.networks, "open_network", lambda *args, **kwargs: network)
    monkeypatch.setattr(face_robustness, "DEGRADATIONS", {"blur": (face_robustness.blur, {"3 %": 0.03})})
    face_robustness.main("level", f"folder:{stills.path}", ["val"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| degradation | strength | n | accuracy % | UAR % |" and lines[1] == "|---|---|---|---|---|"
    assert lines[2].startswith("| none |  | 14 | 100.0 [") and lines[3].startswith("| blur | 3 % | 14 | ")


def test_sound_cannot_be_changed(tmp_path):
    spec = Spec("audio", AudioInput("logmel", LogMelOptions()), 7, "", "")
    with pytest.raises(ConfigError, match=r"Only stills can be changed, but ravdess:.* has none"):
        samples.open_corpus(samples.Corpus("ravdess", tmp_path), spec, detector=None, detect=False, flip=False,
                            change=partial(face_robustness.small, share=0.5))  # fmt: skip


# --- the degraded stills


@pytest.mark.parametrize("name", face_robustness.DEGRADATIONS)
@pytest.mark.parametrize("picture", [noise(side=49), grey()])
def test_shape_determinism_and_strength(name, picture):
    degrade, strengths = face_robustness.DEGRADATIONS[name]
    before = picture.copy()
    changed = [degrade(picture, strength) for strength in strengths.values()]
    assert all(each.shape == picture.shape and each.dtype == np.uint8 for each in changed)
    assert np.array_equal(picture, before)
    assert all(
        np.array_equal(one, degrade(picture, each)) for one, each in zip(changed, strengths.values(), strict=True)
    )
    gaps = [np.abs(each.astype(float) - picture).mean() for each in changed]
    assert 0 < gaps[0] < gaps[1] < gaps[2] or name == "half profiles"
    if (picture == picture[..., :1]).all():
        assert all((each == each[..., :1]).all() for each in changed)  # grey stays grey


def test_blur_is_a_disc():
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    shown = face_robustness.blur(point, 4 / 41)[..., 0] > 0
    at = np.hypot(*(np.indices((41, 41)) - 20))
    assert shown[at <= 4].all() and not shown[at > 4.5].any()


def test_low_light_counts_photons():
    white = np.full((200, 200, 3), 255, np.uint8)
    encoded = face_robustness.low_light(white, 1 / 8)[..., 0] / 255
    photons = ((encoded + 0.055) / 1.055) ** 2.4 * face_robustness.PHOTONS
    assert photons.mean() == pytest.approx(125, rel=0.01) and photons.var() == pytest.approx(125, rel=0.06)


def test_a_head_that_does_not_turn_stays(monkeypatch):
    assert np.abs(face_robustness.half_profile(noise(), 0).astype(int) - noise()).max() <= 1


def test_a_turned_head_is_narrow_on_the_far_side_and_goes_both_ways():
    """Columns show their own place; the one side of the head is squeezed, the other is stretched."""
    directions = set()
    for seed in range(8):
        picture = np.repeat(np.arange(20, 218, 2, dtype=np.uint8)[None, :, None], 99, 0).repeat(3, 2)
        picture[0, 0] = seed  # another picture, which may turn the other way
        middle = face_robustness.half_profile(picture, 30)[49, :, 0].astype(int)
        step = np.diff(middle)
        left, right = step[12:45].mean(), step[54:87].mean()
        assert max(left, right) > 1.4 * min(left, right)
        assert abs(middle[49] - 118) < 20  # the middle between the eyes is about where it was
        directions.add(left > right)
    assert directions == {False, True}
