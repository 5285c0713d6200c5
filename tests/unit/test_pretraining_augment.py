"""Faces and sounds as training varies them, and stills as a face network takes them in."""

import math

import cv2
import librosa
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from emopipe.backbones.base import AudioInput, FaceInput
from emopipe.core.errors import DamagedCacheError
from emopipe.faces.alignment import CANONICAL_SIDE, CANONICAL_UNITS, TEMPLATE, canonical_crop, derive
from emopipe.faces.detection import Detections
from emopipe.media.spectrogram import RATE, LogMelOptions, SpectrogramOptions, band_centres, compute_spectrogram
from emopipe.stills.archive import empty_image
from emopipe.stills.base import Stills
from emopipe.training import sharded_images
from emopipe.training.augment_audio import augment_wave, change_pitch, mask_spectrogram
from emopipe.training.augment_image import ERASED_GREY, augment_faces, center_crop, held_side
from emopipe.training.augment_options import FaceAugmentation, SoundAugmentation
from emopipe.training.phase_options import SpeechPhase
from emopipe.training.speech_dataset import SpeechDataset
from emopipe.training.stills_dataset import StillsDataset

SWITCHES = ("rotation", "scale", "translate", "contrast", "brightness", "saturation", "blur", "erase")
NOTHING = dict.fromkeys(SWITCHES, 0) | {"mirror": False}
SILENT = {"speed": 0, "noise": 0, "freq_masks": 0, "time_masks": 0}
SIZE = 32
SPEED = 0.85 + 0.3 * float(torch.rand(1, generator=torch.Generator().manual_seed(0)))  # the first draw of seed 0


def only(**keys):
    """No variation of faces but these."""
    return FaceAugmentation.model_validate(NOTHING | keys)


def sound(**keys):
    """No variation of sounds but these."""
    return SoundAugmentation.model_validate(SILENT | keys)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n=4, channels=3, size=SIZE, seed=0):
    side = held_side(size)
    return torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8, generator=seeded(seed))


def dots(n, right=0.0, below=0.0, size=SIZE):
    """(n, 1, side, side): a soft dot on black, so many pixels off the middle."""
    at = torch.arange(held_side(size)) - (held_side(size) - 1) / 2
    dot = torch.exp(-((at[None] - right) ** 2 + (at[:, None] - below) ** 2) / 8)
    return (200 * dot).expand(n, 1, -1, -1)


def places(images):
    """(n, 2) how far right of and below the middle the dots are."""
    at = torch.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2
    mass = images[:, 0].double()
    total = mass.sum((1, 2))
    return torch.stack([(mass.sum(1) * at).sum(1) / total, (mass.sum(2) * at).sum(1) / total], 1)


# --- faces: nothing, and where they are


@pytest.mark.parametrize("size", [16, 44, 48, 112])
def test_faces_are_held_with_a_margin_of_whole_pixels(size):
    side = held_side(size)
    assert (side - size) % 2 == 0 and 1.1 <= side / size <= 1.2


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 48])
def test_without_variations_it_is_the_middle(channels, size):
    images = noise(channels=channels, size=size)
    varied = augment_faces(images, size, only(), seeded())
    margin = (held_side(size) - size) // 2
    assert varied.dtype == torch.float32 and varied.shape == (4, channels, size, size)
    assert torch.equal(center_crop(images, size), images[..., margin:-margin, margin:-margin].float())
    torch.testing.assert_close(varied, center_crop(images, size), atol=0.02, rtol=0)


def test_smaller_faces_show_the_same():
    """A dot lies at the same share of the picture, whatever side it is shown at."""
    margin = held_side(SIZE) / SIZE
    for side in (16, 24, 32):
        at = places(augment_faces(dots(1, right=8, below=-4), side, only(), seeded(), margin=margin))
        torch.testing.assert_close(at / side, torch.tensor([[8.0, -4.0]]).double() / SIZE, atol=0.004, rtol=0)


def test_half_of_the_faces_are_mirrored():
    images = noise(n=200, channels=1, size=16)
    varied, plain = augment_faces(images, 16, only(mirror=True), seeded()), center_crop(images, 16)
    mirrored = center_crop(images, 16, mirrored=True)
    assert torch.equal(mirrored, plain.flip(3))
    is_mirrored = (varied - mirrored).abs().amax((1, 2, 3)) < 0.02
    is_plain = (varied - plain).abs().amax((1, 2, 3)) < 0.02
    assert (is_mirrored ^ is_plain).all() and 70 < is_mirrored.sum() < 130


def test_turns():
    at = places(augment_faces(dots(300, right=9), SIZE, only(rotation=20), seeded()))
    angle = torch.rad2deg(torch.atan2(at[:, 1], at[:, 0]))
    torch.testing.assert_close(at.norm(dim=1), torch.full((300,), 9.0, dtype=at.dtype), atol=0.05, rtol=0)
    assert 18 < angle.max() < 20.5 and -20.5 < angle.min() < -18
    assert angle.abs().mean() == pytest.approx(10, abs=1)


def test_mirrored_faces_are_turned_without_being_bent():
    at = places(augment_faces(dots(300, right=9, below=4), SIZE, only(rotation=40, mirror=True), seeded()))
    torch.testing.assert_close(at.norm(dim=1), torch.full((300,), math.hypot(9, 4), dtype=at.dtype), atol=0.05, rtol=0)
    is_mirrored = at[:, 0] < 0
    mirrored_back = torch.where(is_mirrored, -at[:, 0], at[:, 0])
    angle = torch.rad2deg(torch.atan2(at[:, 1], mirrored_back)) - math.degrees(math.atan2(4, 9))
    assert 110 < is_mirrored.sum() < 190
    for group in (angle[is_mirrored], angle[~is_mirrored]):
        assert 37 < group.max() < 40.5 and -40.5 < group.min() < -37


def test_zooms():
    at = places(augment_faces(dots(300, right=8, below=-5), SIZE, only(scale=0.2), seeded()))
    scale = at.norm(dim=1) / math.hypot(8, 5)
    assert 1 / 1.2 - 0.01 < scale.min() < 0.85 and 1.2 < scale.max() < 1 / 0.8 + 0.01
    torch.testing.assert_close(at[:, 1] / at[:, 0], torch.full((300,), -5 / 8, dtype=at.dtype), atol=0.02, rtol=0)


def test_shifts():
    at = places(augment_faces(dots(300), SIZE, only(translate=0.25), seeded()))
    assert at.abs().max() < 0.25 * SIZE / 2 + 0.05
    assert (at.amax(0) > 3.5).all() and (at.amin(0) < -3.5).all()
    assert abs(float(torch.corrcoef(at.T)[0, 1])) < 0.2


# --- faces: light, colour, sharpness, what is hidden


def test_brightness():
    level = augment_faces(torch.full((300, 1, 36, 36), 100, dtype=torch.uint8), SIZE, only(brightness=25), seeded())
    assert (level.amax((1, 2, 3)) - level.amin((1, 2, 3))).max() < 0.01  # one grey stays one grey
    assert 75 <= level.min() < 78 and 122 < level.max() <= 125


def test_contrast():
    images = torch.tensor([90.0, 110.0]).repeat(18).expand(300, 1, 36, 36)
    varied = augment_faces(images, SIZE, only(contrast=0.3), seeded())
    spread = (varied.amax((1, 2, 3)) - varied.amin((1, 2, 3))) / 20
    torch.testing.assert_close(varied.mean((1, 2, 3)), torch.full((300,), 100.0), atol=0.01, rtol=0)
    assert 0.7 <= spread.min() < 0.72 and 1.28 < spread.max() <= 1.3001


def test_light_stays_within_what_pixels_can_be():
    varied = augment_faces(noise(n=50), SIZE, only(contrast=0.9, brightness=200, saturation=0.9), seeded())
    assert varied.min() == 0 and varied.max() == 255


def test_saturation():
    images = torch.tensor([80.0, 100.0, 120.0]).view(1, 3, 1, 1).expand(300, 3, 36, 36)
    varied = augment_faces(images, SIZE, only(saturation=0.3), seeded())
    spread = (varied[:, 2] - varied[:, 0]).mean((1, 2)) / 40
    torch.testing.assert_close(varied.mean(1), torch.full((300, SIZE, SIZE), 100.0), atol=0.01, rtol=0)
    assert 0.7 <= spread.min() < 0.72 and 1.28 < spread.max() <= 1.3001
    grey = noise(channels=1)
    torch.testing.assert_close(
        augment_faces(grey, SIZE, only(saturation=0.3), seeded()), center_crop(grey, SIZE), atol=0.02, rtol=0
    )


def test_blur_is_the_mean_of_three_by_three():
    images = noise(n=200, channels=1)
    plain = center_crop(images, SIZE)
    blurred = torch.stack(
        [torch.from_numpy(cv2.blur(image[0].numpy(), (3, 3), borderType=cv2.BORDER_REPLICATE))[None] for image in plain]
    )
    torch.testing.assert_close(augment_faces(images, SIZE, only(blur=1), seeded()), blurred, atol=0.02, rtol=0)
    some = augment_faces(images, SIZE, only(blur=0.25), seeded())
    is_blurred = (some - blurred).abs().amax((1, 2, 3)) < 0.02
    is_plain = (some - plain).abs().amax((1, 2, 3)) < 0.02
    assert (is_blurred ^ is_plain).all() and 30 < is_blurred.sum() < 70


def test_erasing_fills_a_rectangle_and_nothing_else():
    size = 40
    images = noise(n=300, channels=3, size=size) // 2 + 128  # nowhere the grey that erases
    varied, plain = augment_faces(images, size, only(erase=1, erase_side=0.5), seeded()), center_crop(images, size)
    erased = (varied == ERASED_GREY).all(1)  # (n, size, size)
    torch.testing.assert_close(
        torch.where(erased[:, None], plain, varied), plain, atol=0.02, rtol=0
    )  # elsewhere nothing is changed
    rows, columns = erased.any(2), erased.any(1)
    assert torch.equal(erased, rows[:, :, None] & columns[:, None, :])
    sides = torch.cat([rows.sum(1), columns.sum(1)]) / size
    assert 0.4 < sides.max() <= 0.5 + 1 / size
    inside = erased & ~torch.nn.functional.pad(torch.zeros(size - 2, size - 2, dtype=bool), (1, 1, 1, 1), value=True)
    whole = inside.flatten(1).sum(1) == erased.flatten(1).sum(1)  # which reach no edge
    assert (sides[:300][whole].min() >= 0.15 - 1 / size) and whole.sum() > 50


def test_the_share_that_is_erased():
    varied = augment_faces(noise(n=400, size=16) // 2 + 128, 16, only(erase=0.25), seeded())
    assert 70 < (varied == ERASED_GREY).all(1).flatten(1).any(1).sum() < 130


def test_options_of_the_wrong_size_are_refused():
    for key, value in {"rotation": 200, "scale": 1, "blur": 1.5, "erase_side": 0.1, "brightness": -1}.items():
        with pytest.raises(ValidationError, match=key):
            only(**{key: value})


# --- what is drawn


def test_equal_seeds_give_equal_faces():
    images = noise()
    first, again, other = (augment_faces(images, SIZE, FaceAugmentation(), seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    one = images[:1].expand(20, -1, -1, -1)
    assert len({face.numpy().tobytes() for face in augment_faces(one, SIZE, FaceAugmentation(), seeded())}) == 20


@pytest.mark.slow
def test_draws_do_not_depend_on_the_device():
    """The meta device computes nothing, so what its run drew can have come from the CPU's generator alone."""
    on_cpu, on_meta = seeded(), seeded()
    augment_faces(noise(), SIZE, FaceAugmentation(), on_cpu)
    found = augment_faces(noise().to("meta"), SIZE, FaceAugmentation(), on_meta)
    assert found.device.type == "meta" and found.shape == (4, 3, SIZE, SIZE)
    assert torch.equal(on_cpu.get_state(), on_meta.get_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_faces_are_the_same_on_a_gpu():
    on_gpu = augment_faces(noise().cuda(), SIZE, FaceAugmentation(), seeded()).cpu()
    torch.testing.assert_close(on_gpu, augment_faces(noise(), SIZE, FaceAugmentation(), seeded()), atol=0.05, rtol=0)


# --- sounds


def tone(hertz=440.0, seconds=1.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def pitch(wave):
    spectrum_of = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return spectrum_of.argmax() * RATE / len(wave)


def test_without_variations_a_wave_stays():
    wave = tone()
    assert np.array_equal(augment_wave(wave, sound(), seeded()), wave)


@pytest.mark.slow
def test_speed_changes_length_and_pitch_together():
    rng, wave = seeded(), tone()
    varied = [augment_wave(wave, sound(speed=0.15), rng) for _ in range(60)]
    length = np.array([len(one) for one in varied]) / len(wave)
    assert 1 / 1.15 - 0.001 < length.min() < 0.9 and 1.12 < length.max() < 1 / 0.85 + 0.001
    for one, stretched in zip(varied, length, strict=True):
        assert one.dtype == np.float32 and pitch(one) * stretched == pytest.approx(440, abs=2)


@pytest.mark.parametrize("decibels", [0, 10, 25])
def test_noise_lies_so_many_decibels_under_the_sound(decibels):
    wave = tone(seconds=3)
    varied = augment_wave(wave, sound(noise=1, loudest_db=decibels, quietest_db=decibels), seeded())
    added = varied - wave
    assert varied.dtype == np.float32
    assert 10 * np.log10(np.mean(wave**2) / np.mean(added**2)) == pytest.approx(decibels, abs=0.2)
    assert abs(np.corrcoef(added[1:], added[:-1])[0, 1]) < 0.02  # white


def test_noise_varies_between_its_bounds_for_its_share_of_sounds():
    rng, wave = seeded(), tone()
    options = sound(noise=0.5, loudest_db=10, quietest_db=40)
    power = np.array([np.mean((augment_wave(wave, options, rng) - wave) ** 2) for _ in range(200)])
    level = 10 * np.log10(np.mean(wave**2) / power[power > 0])
    assert 70 < len(level) < 130
    assert 9.8 < level.min() < 12 and 38 < level.max() < 40.2


@pytest.mark.slow
@pytest.mark.parametrize("wave", [np.zeros(4000, np.float32), tone(seconds=1 / RATE), tone(seconds=0.01)])
def test_silence_and_clicks_survive(wave):
    varied = augment_wave(wave, SoundAugmentation(), seeded())
    assert len(varied) >= 1 and np.isfinite(varied).all()
    assert wave.any() or not varied.any()


def test_noise_bounds_that_are_swapped_are_refused():
    with pytest.raises(
        ValidationError, match=r"quietest_db is 5 and loudest_db is 10,.*at least loudest_db.*swap them"
    ):
        sound(quietest_db=5)


@pytest.mark.parametrize(("bands", "moments"), [(2, 0), (0, 3), (2, 2)])
def test_whole_bands_and_moments_are_silenced_and_nothing_else(bands, moments):
    picture = torch.rand(3, 64, 200, generator=seeded()) + 0.1
    options, rng, widest = sound(freq_masks=bands, band=0.2, time_masks=moments, moment=0.1), seeded(1), [0, 0]
    for _ in range(50):
        before = picture.clone()
        hidden = mask_spectrogram(picture, options, rng)
        assert torch.equal(picture, before)  # the picture itself is kept
        silent = (hidden == 0).all(0)  # (F, T)
        band, moment = silent.all(1), silent.all(0)
        assert torch.equal(silent, band[:, None] | moment[None])
        assert torch.equal(hidden[:, ~silent], picture[:, ~silent])
        runs = [int(((hide_at.int().diff() == 1).sum()) + hide_at[0]) for hide_at in (band, moment)]
        assert runs[0] <= bands and runs[1] <= moments
        widest = [max(widest[0], int(band.sum())), max(widest[1], int(moment.sum()))]
    assert widest[0] <= bands * 0.2 * 64 and widest[1] <= moments * 0.1 * 200
    assert (widest[0] > 6) == (bands > 0) and (widest[1] > 10) == (moments > 0)


def test_hiding_may_take_all_or_nothing():
    picture = torch.ones(1, 5, 7)
    assert torch.equal(mask_spectrogram(picture, sound(), seeded()), picture)
    every = [mask_spectrogram(picture, sound(freq_masks=1, band=1), seeded(seed)).sum() for seed in range(40)]
    assert min(every) >= 7 and max(every) == 35  # the widest is drawn below the whole


@pytest.mark.slow
def test_equal_seeds_give_equal_sounds():
    wave, options = tone(seconds=0.3), SoundAugmentation(noise=1)
    first, again, other = (augment_wave(wave, options, seeded(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first[:4000], other[:4000])


# --- rooms, coloured noise, channels and levels

EVERYTHING = {"pitch": 0.1, "room": 1, "noise": 1, "noise_slope": 6, "equaliser_db": 6, "band_limit": 1, "level_db": 12}


def white(seconds=2.0, seed=5):
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE)).astype(np.float32) / 10


def gain_at(varied, wave, *hertz):
    """The gain in dB from one wave to another, each in the third of an octave around these frequencies."""
    power = [np.abs(np.fft.rfft(one)) ** 2 for one in (varied, wave)]
    at = np.fft.rfftfreq(len(wave), 1 / RATE)
    near = [(at > middle / 1.12) & (at < middle * 1.12) for middle in hertz]
    return np.array([10 * np.log10(power[0][rows].sum() / power[1][rows].sum()) for rows in near])


@pytest.mark.parametrize("keys", [{key: value} for key, value in EVERYTHING.items() if key != "pitch"])
def test_only_speed_changes_the_length(keys):
    wave = white(0.3)
    first, again, other = (augment_wave(wave, sound(**keys), seeded(seed)) for seed in (0, 0, 1))
    assert first.shape == wave.shape and first.dtype == np.float32 and np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert (keys == {"noise_slope": 6}) == np.array_equal(first, wave)  # a slope of no noise
    assert (keys == {"noise_slope": 6}) == np.array_equal(first, other)


@pytest.mark.parametrize("wave", [np.zeros(4000, np.float32), tone(seconds=1 / RATE), tone(seconds=0.01)])
def test_silence_and_clicks_survive_every_change(wave):
    for seed in range(5):
        varied = augment_wave(wave, sound(**EVERYTHING), seeded(seed))
        assert varied.shape == wave.shape and np.isfinite(varied).all()
        assert wave.any() or not varied.any()


@pytest.mark.slow
def test_what_is_off_changes_no_draw():
    """A recipe of before draws the same numbers, so its networks stay the same."""
    wave, before, after = tone(seconds=0.2), seeded(), seeded()
    augment_wave(wave, SoundAugmentation(noise=1), before)
    off = dict.fromkeys(["pitch", "room", "noise_slope", "equaliser_db", "band_limit", "level_db"], 0)
    augment_wave(wave, SoundAugmentation(noise=1, **off), after)
    assert torch.equal(before.get_state(), after.get_state())
    assert off.items() <= SoundAugmentation().model_dump().items()
    torch.rand(3, generator=(expected := seeded()))
    torch.randn(len(librosa.resample(wave, orig_sr=RATE * SPEED, target_sr=RATE)), generator=expected)
    assert torch.equal(before.get_state(), expected.get_state())


def test_level_changes_the_level_alone():
    wave, rng = tone(), seeded()
    varied = [augment_wave(wave, sound(level_db=12), rng) for _ in range(100)]
    gains = np.array([20 * np.log10(np.abs(one).max() / np.abs(wave).max()) for one in varied])
    assert -12 <= gains.min() < -11 and 11 < gains.max() <= 12
    for one, gain in zip(varied, gains, strict=True):
        np.testing.assert_allclose(one, wave * 10 ** (gain / 20), rtol=1e-4, atol=1e-6)


def test_the_spectrogram_of_a_clip_does_not_depend_on_its_level():
    """So a network does not lean on the level of a recording; it does where the reference is full scale."""
    wave = white(0.5)
    varied = augment_wave(wave, sound(level_db=30), seeded())
    for options in (LogMelOptions(), SpectrogramOptions()):
        whole, louder = (compute_spectrogram(one, options) for one in (wave, varied))
        np.testing.assert_allclose(whole, louder, atol=1e-3)
        fixed = options.model_copy(update={"level": "full_scale"})
        assert np.abs(compute_spectrogram(wave, fixed) - compute_spectrogram(varied, fixed)).mean() > 0.01


def test_the_noise_has_a_slope():
    wave = tone(seconds=4)
    slopes = []
    for seed in range(40):
        options = sound(noise=1, noise_slope=6, loudest_db=10, quietest_db=10)
        added = augment_wave(wave, options, seeded(seed)) - wave
        assert 10 * np.log10(np.mean(wave**2) / np.mean(added**2)) == pytest.approx(10, abs=0.01)
        # Band power grows by 3 dB an octave where the density is flat.
        flat = gain_at(added, white(4.0), 200, 400, 800, 1600, 3200)
        slopes.append(np.polyfit(np.arange(5), flat, 1)[0])
        assert np.ptp(flat - np.polyval(np.polyfit(np.arange(5), flat, 1), np.arange(5))) < 2
    assert -6.3 < min(slopes) < -5 and 5 < max(slopes) < 6.3


def test_the_equaliser_is_smooth_and_within_its_gain():
    wave, octaves = white(), 62.5 * 2.0 ** np.arange(8)
    gains = np.array(
        [gain_at(augment_wave(wave, sound(equaliser_db=6), seeded(k)), wave, *octaves[:7]) for k in range(40)]
    )
    assert -6 <= gains.min() < -4.5 and 4.5 < gains.max() <= 6
    assert np.abs(np.corrcoef(gains.T) - np.eye(7)).max() < 0.6  # the octaves vary by themselves


def test_a_limited_band_keeps_speech_and_drops_what_is_outside():
    wave = white()
    limited = [augment_wave(wave, sound(band_limit=1), seeded(seed)) for seed in range(30)]
    gains = np.array([gain_at(one, wave, 25, 1000, 7900) for one in limited])
    assert (gains[:, 0] < -25).all() and (np.abs(gains[:, 1]) < 0.1).all() and gains[:, 2].min() < -50
    some = [np.array_equal(augment_wave(wave, sound(band_limit=0.5), seeded(seed)), wave) for seed in range(60)]
    assert 18 < sum(some) < 42


def test_a_channel_has_no_delay():
    click = np.zeros(4001, np.float32)
    click[2000] = 1
    for keys in ({"band_limit": 1}, {"equaliser_db": 10}):
        after = augment_wave(click, sound(**keys), seeded())
        assert np.abs(after).argmax() == 2000
        np.testing.assert_allclose(after, after[::-1], atol=1e-5)


def test_a_room_rings_on_after_the_sound():
    click = np.zeros(RATE, np.float32)
    click[100] = 1
    for seed in range(10):
        ringing = augment_wave(click, sound(room=1), seeded(seed))
        assert not np.abs(ringing[:100]).max() > 1e-5 and np.abs(ringing).argmax() == 100
        reverberant = np.sum(ringing[101:] ** 2)
        assert 0 <= 10 * np.log10(ringing[100] ** 2 / reverberant) <= 15
        assert np.sum(ringing[101:1700] ** 2) > 1.5 * np.sum(ringing[1700:] ** 2)  # it decays


@pytest.mark.parametrize("options", [LogMelOptions(), SpectrogramOptions()])
def test_pitch_moves_frequencies_and_keeps_the_times(options):
    hertz, wave = band_centres(options), tone(1000)
    picture = torch.from_numpy(compute_spectrogram(wave, options))
    assert change_pitch(picture, hertz, sound(), seeded()) is picture
    factors = []
    for seed in range(40):
        moved = change_pitch(picture, hertz, sound(pitch=0.2), seeded(seed))
        assert moved.shape == picture.shape and moved.dtype == torch.float32
        factors.append(hertz[moved[0, :, 50].argmax()] / hertz[picture[0, :, 50].argmax()])
    assert 0.76 < min(factors) < 0.88 and 1.12 < max(factors) < 1.24
    late = torch.zeros(1, len(hertz), 30)
    late[..., 20:] = 1
    assert torch.equal(change_pitch(late, hertz, sound(pitch=0.2), seeded()), late)


def test_bands_have_their_centres():
    """The band with the most of a tone is the one whose centre is nearest to it."""
    for options in (LogMelOptions(), SpectrogramOptions()):
        hertz = band_centres(options)
        for middle in hertz[[20, 40]]:
            picture = compute_spectrogram(tone(float(middle)), options)
            assert picture.shape[1] == len(hertz) and hertz[picture[0, :, 50].argmax()] == middle


# --- stretches of speech


def speech(waves, **keys):
    phase = SpeechPhase.model_validate({"sources": ["any"], "augment": SILENT, **keys})
    n = len(waves)
    targets = np.eye(7, dtype=np.float32)[np.arange(n) % 7]
    whole = [(wave * 32767).astype(np.int16) for wave in waves]
    return SpeechDataset(
        whole, targets, np.full(n, "train"), np.full(n, ""), AudioInput("logmel", LogMelOptions()), phase
    )


def test_speech_is_cut_or_repeated_to_one_length():
    dataset = speech([tone(seconds=0.3), tone(600, seconds=1.5)], seconds=0.8)
    batch = dataset.batch(np.array([1, 0]), seeded(), torch.device("cpu"))
    assert batch.shape == (2, 3, 64, 80) and batch.dtype == torch.float32
    wave = (tone(seconds=0.3) * 32767).astype(np.int16).astype(np.float32) / 32768
    whole = torch.from_numpy(compute_spectrogram(wave, LogMelOptions()))  # (3, 64, 31)
    looped = whole.repeat(1, 1, 4)
    assert any(torch.equal(batch[1], looped[..., start : start + 80]) for start in range(looped.shape[-1] - 79))


def test_speech_is_looked_at_whole():
    waves = [tone(seconds=0.3), tone(600, seconds=1.0)]
    dataset = speech(waves, seconds=0.5)
    batches = list(dataset.eval_batches(np.array([1, 0]), torch.device("cpu")))
    assert [[tuple(view.shape) for view in batch.views] for batch in batches] == [[(1, 3, 64, 101)], [(1, 3, 64, 31)]]
    varied = speech(waves, seconds=0.3, augment={}).batch(np.zeros(20, int), seeded(), torch.device("cpu"))
    assert len({stretch.numpy().tobytes() for stretch in varied}) == 20 and varied.isfinite().all()


def test_segments_are_changed_in_pitch():
    keys = {"seconds": 0.5, "augment": SILENT | {"pitch": 0.2}}
    batch = speech([tone(1000)], **keys).batch(np.zeros(20, int), seeded(), torch.device("cpu"))
    loudest = band_centres(LogMelOptions())[batch[:, 0, :, 20].argmax(1).numpy()]
    assert loudest.min() < 900 and loudest.max() > 1100


# --- the geometry of faces


def ramp(across, down):
    """A canonical crop whose grey level grows by so much a template unit."""
    at = (np.arange(CANONICAL_SIDE) + 0.5) * CANONICAL_UNITS / CANONICAL_SIDE - CANONICAL_UNITS / 2
    level = 128 + across * at[None] + down * at[:, None]
    return np.repeat(np.rint(level).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize(("units", "size"), [(112.0, 112), (100.0, 48), (90.0, 200)])
@pytest.mark.parametrize("down", [7.0, -9.5])
def test_down_moves_the_square_along_the_face(units, size, down):
    plain, moved = (derive(ramp(0, 1), units, size, at).astype(float) for at in (0.0, down))
    assert np.abs((moved - plain) - down).max() <= 1 and (moved - plain).mean() == pytest.approx(down, abs=0.3)
    middle_rows = plain[size // 2 - 1 : size // 2 + 1].mean()
    assert middle_rows == pytest.approx(128, abs=0.6)
    across = derive(ramp(1, 0), units, size, down)
    assert np.array_equal(across, derive(ramp(1, 0), units, size))


def test_down_is_in_units_whatever_the_size():
    for units in (60.0, 100.0):
        for size in (48, 96):
            dot = np.zeros((CANONICAL_SIDE, CANONICAL_SIDE, 3), np.uint8)
            pixel = CANONICAL_SIDE / CANONICAL_UNITS
            cv2.circle(dot, (127, round(127.5 + 12 * pixel)), 5, (255, 255, 255), -1)  # 12 units below the middle
            found = derive(dot, units, size, 12.0).astype(float)[..., 0]
            row = (found.sum(1) * np.arange(size)).sum() / found.sum()
            assert row == pytest.approx((size - 1) / 2, abs=0.5 * size / units)


GEOMETRY = FaceInput(100.0, 48, "gray", (127.5,), (127.5,), 7.0)
SIDE = held_side(48)
MARGIN = (SIDE - 48) // 2


class Finder:
    """Stands for a detector: the faces that it is told, in units of the first picture's own pixels."""

    device = "cpu"

    def __init__(self, *faces):
        """`faces`: landmarks (5, 2)."""
        self.faces, self.shapes = faces, []

    def __call__(self, frame):
        self.shapes.append(frame.shape)
        if not self.faces:
            return Detections(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))
        landmarks = np.stack(self.faces).astype(np.float32)
        box = np.concatenate([landmarks.min(1), landmarks.max(1)], 1)
        return Detections(box, landmarks, np.linspace(0.9, 0.5, len(landmarks), dtype=np.float32))


def picture(height=48, width=48, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def test_a_still_that_is_used_as_it_is_fills_the_square():
    still = picture()
    found = sharded_images.cut(still, GEOMETRY)
    assert found.shape == (SIDE, SIDE, 3) and found.dtype == np.uint8
    assert np.array_equal(found[MARGIN:-MARGIN, MARGIN:-MARGIN], still)
    assert (found[:MARGIN, MARGIN:-MARGIN] == still[:1]).all() and (
        found[MARGIN:-MARGIN, -MARGIN:] == still[:, -1:]
    ).all()


@pytest.mark.parametrize("shape", [(48, 90), (120, 48), (13, 20), (200, 300)])
def test_the_middle_of_a_longer_still_is_taken(shape):
    short = min(shape)
    top, left = (shape[0] - short) // 2, (shape[1] - short) // 2
    still = np.zeros((*shape, 3), np.uint8)
    still[top : top + short, left : left + short] = 200
    assert (sharded_images.cut(still, GEOMETRY) == 200).all()


def test_a_still_with_a_face_is_cut_as_clips_faces_are():
    still = picture(300, 400)
    landmarks = (TEMPLATE - 55.5) * 1.7 + [190, 160]
    found = sharded_images.cut(still, GEOMETRY, Finder(landmarks))
    clips = derive(canonical_crop(still, landmarks), GEOMETRY.crop_units, 48, GEOMETRY.center_offset_y)
    inner = found[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(int)
    assert found.shape == (SIDE, SIDE, 3) and np.abs(inner - clips).max() <= 1
    higher = derive(canonical_crop(still, landmarks), GEOMETRY.crop_units, 48)
    assert np.abs(inner - higher).mean() > 3  # the tolerance is far below what `center_offset_y` does


def test_the_largest_of_several_faces_is_taken():
    still = picture(300, 600)
    small, large = (TEMPLATE - 55.5) + [100, 150], (TEMPLATE - 55.5) * 1.5 + [400, 150]
    both = sharded_images.cut(still, GEOMETRY, Finder(small, large))
    assert np.array_equal(both, sharded_images.cut(still, GEOMETRY, Finder(large)))
    assert not np.array_equal(both, sharded_images.cut(still, GEOMETRY, Finder(small)))


def test_without_a_face_the_still_is_used_as_it_is():
    still, finder = picture(48, 60), Finder()
    assert np.array_equal(sharded_images.cut(still, GEOMETRY, finder), sharded_images.cut(still, GEOMETRY))
    assert finder.shapes == [(192, 240, 3)]  # small stills are enlarged before faces are searched
    sharded_images.cut(picture(300, 400), GEOMETRY, finder)
    assert finder.shapes[1] == (300, 400, 3)


# --- stills on disk


def stills(*pictures):
    """Stills in memory; None stands for a file that is no picture."""
    names = [f"{number:02d}" for number in range(len(pictures))]
    read = {name: empty_image() if found is None else found for name, found in zip(names, pictures, strict=True)}
    table = pd.DataFrame({"key": names, "split": "train", "subject": ""})
    return Stills(table, np.eye(7, dtype=np.float32)[np.arange(len(names)) % 7], read.__getitem__)


@pytest.mark.parametrize(("colour", "shape"), [("gray", (SIDE, SIDE)), ("rgb", (SIDE, SIDE, 3))])
def test_stills_are_cut_once(tmp_path, colour, shape, caplog):
    bands = 1 if colour == "gray" else 3
    geometry = FaceInput(112.0, 48, colour, (127.5,) * bands, (127.5,) * bands)
    corpus = stills(picture(seed=1), None, picture(60, 48, seed=2))
    found, readable = sharded_images.prepare(corpus, geometry, None, tmp_path / "a.npy")
    assert found.shape == (3, *shape) and found.dtype == np.uint8 and readable.tolist() == [True, False, True]
    for number in (0, 2):
        cut = sharded_images.cut(corpus.read_image(f"{number:02d}"), geometry)
        assert np.array_equal(found[number], geometry.convert_channels(cut[None])[0])
    unreadable = Stills(corpus.table, corpus.targets, lambda key: pytest.fail("it was read again"))
    again, known = sharded_images.prepare(unreadable, geometry, None, tmp_path / "a.npy")
    assert np.array_equal(again, found) and known.tolist() == readable.tolist()


def test_stills_that_were_cut_off_while_written_are_written_again(tmp_path):
    def fails(key):
        if key == "01":
            raise KeyboardInterrupt
        return picture()

    corpus = stills(picture(), picture(seed=3))
    with pytest.raises(KeyboardInterrupt):
        sharded_images.prepare(Stills(corpus.table, corpus.targets, fails), GEOMETRY, None, tmp_path / "a.npy")
    found, readable = sharded_images.prepare(corpus, GEOMETRY, None, tmp_path / "a.npy")
    assert readable.all() and found[1].any()


@pytest.mark.parametrize("damage", [lambda content: content[:-10], lambda content: content[:20], lambda _: b""])
def test_stills_whose_file_is_damaged_are_reported_and_written_again_once_it_is_away(tmp_path, damage):
    corpus, path = stills(picture(), picture(seed=3)), tmp_path / "a.npy"
    expected = sharded_images.prepare(corpus, GEOMETRY, None, path)[0].copy()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedCacheError, match=r"a\.npy is damaged: it does not hold an array of images"):
        sharded_images.prepare(corpus, GEOMETRY, None, path)
    path.unlink()
    assert np.array_equal(sharded_images.prepare(corpus, GEOMETRY, None, path)[0], expected)


@pytest.mark.slow
def test_no_flipped_bit_of_the_header_goes_unseen(tmp_path):
    corpus, path = stills(picture(), picture(seed=3)), tmp_path / "a.npy"
    sharded_images.prepare(corpus, GEOMETRY, None, path)
    whole = path.read_bytes()
    fine = 0
    for place in range(128):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                found = sharded_images.prepare(corpus, GEOMETRY, None, path)[0]
            except DamagedCacheError:
                continue
            assert found.tobytes() == whole[128:]  # spaces that became another kind of them
            fine += 1
    assert fine < 128


@pytest.mark.parametrize("content", [b"", b"\1", b"\1\1\1", b"\1\2"])
def test_damaged_notes_of_which_stills_are_pictures_are_told_of(tmp_path, content):
    corpus, path = stills(picture(), picture(seed=3)), tmp_path / "a.npy"
    sharded_images.prepare(corpus, GEOMETRY, None, path)
    path.with_suffix(".readable").write_bytes(content)
    with pytest.raises(DamagedCacheError, match=r"a\.readable is damaged: it does not say which of 2 stills are read"):
        sharded_images.prepare(corpus, GEOMETRY, None, path)
    path.with_suffix(".readable").unlink()
    assert sharded_images.prepare(corpus, GEOMETRY, None, path)[1].all()


def test_several_files_of_pixels_are_one():
    parts = [np.full((n, 2, 2), 10 * number, np.uint8) + np.arange(n, dtype=np.uint8)[:, None, None]
             for number, n in enumerate((3, 0, 2))]  # fmt: skip
    held = sharded_images.ShardedImages(parts)
    assert len(held) == 5
    assert held[np.array([4, 0, 3, 2, 0])][:, 0, 0].tolist() == [21, 0, 20, 2, 0]


@pytest.mark.parametrize(
    ("colour", "mean", "std"), [("gray", (100.0,), (50.0,)), ("rgb", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))]
)
def test_the_dataset_shows_what_extraction_shows(tmp_path, colour, mean, std):
    geometry = FaceInput(112.0, 48, colour, mean, std)
    corpus = stills(*(picture(seed=seed) for seed in range(5)))
    cut, _ = sharded_images.prepare(corpus, geometry, None, tmp_path / "a.npy")
    split, subject = corpus.table["split"].to_numpy(str), corpus.table["subject"].to_numpy(str)
    dataset = StillsDataset(sharded_images.ShardedImages([cut]), corpus.targets, split, subject, geometry, only())
    rows, cpu = np.array([3, 0, 4]), torch.device("cpu")
    wanted = torch.from_numpy(geometry.prepare(np.stack([corpus.read_image(f"{row:02d}") for row in rows])))
    (batch,) = dataset.eval_batches(rows, cpu)
    torch.testing.assert_close(batch.views[0], wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.views[1], wanted.flip(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(dataset.batch(rows, seeded(), cpu), wanted, atol=0.01, rtol=0)


def test_faces_that_are_learned_from_may_be_smaller(tmp_path):
    corpus = stills(*(picture(seed=seed) for seed in range(3)))
    cut, _ = sharded_images.prepare(corpus, GEOMETRY, None, tmp_path / "a.npy")
    given = (sharded_images.ShardedImages([cut]), corpus.targets, np.full(3, "train"), np.full(3, ""), GEOMETRY)
    dataset, rows, cpu = StillsDataset(*given, only(), side=40), np.arange(3), torch.device("cpu")
    small, (batch,) = dataset.batch(rows, seeded(), cpu), dataset.eval_batches(rows, cpu)
    assert small.shape[-1] == 40 and batch.views[0].shape[-1] == GEOMETRY.size
    shown = torch.nn.functional.interpolate(batch.views[0], size=(40, 40), mode="bilinear", align_corners=False)
    torch.testing.assert_close(small, shown, atol=0.02, rtol=0)


def test_stills_come_in_batches_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("emopipe.training.stills_dataset.EVAL_BATCH", 2)
    corpus = stills(*(np.full((48, 48, 3), 10 * level, np.uint8) for level in range(5)))
    cut, _ = sharded_images.prepare(corpus, GEOMETRY, None, tmp_path / "a.npy")
    dataset = StillsDataset(
        sharded_images.ShardedImages([cut]), corpus.targets, np.full(5, "val"), np.full(5, ""), GEOMETRY, only()
    )
    batches = list(dataset.eval_batches(np.array([4, 2, 0, 1, 3]), torch.device("cpu")))
    assert [len(batch.views[0]) for batch in batches] == [2, 2, 1]
    levels = torch.cat([batch.views[0].mean((1, 2, 3)) for batch in batches]) * 127.5 + 127.5
    assert levels.round().tolist() == [40, 20, 0, 10, 30]
