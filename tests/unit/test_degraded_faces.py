"""What clips bring, in the augmentation of faces: strong blur, low light, few pixels, JPEG and half profiles."""

import math

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from emopipe.training import degrade_image, half_profile, jpeg_blocks
from emopipe.training.augment_image import augment_faces, center_crop, held_side
from emopipe.training.augment_options import FaceAugmentation

SWITCHES = ("rotation", "scale", "translate", "contrast", "brightness", "saturation", "blur", "erase")
SHARES = ("yaw", "strong_blur", "low_light", "small", "jpeg")
STRENGTHS = {
    "yaw_angle": 45, "strong_blur_width": 0.1, "low_light_level": 0.1, "low_light_gamma": 2, "low_light_noise": 30,
    "small_side": 0.1, "jpeg_quality": 1,
}  # fmt: skip
SIZE = 32


def only(**keys):
    """No augmentation but these."""
    return FaceAugmentation.model_validate(dict.fromkeys(SWITCHES, 0) | {"mirror": False} | keys)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n=6, channels=3, size=SIZE, seed=0):
    side = held_side(size)
    return torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8, generator=seeded(seed))


def detail(images):
    """(n,) the mean difference of neighbouring pixels."""
    return (images.diff(dim=2).abs().mean((1, 2, 3)) + images.diff(dim=3).abs().mean((1, 2, 3))) / 2


# --- all of them


def test_what_is_off_draws_nothing():
    images, rng, expected = noise(), seeded(), seeded()
    plain = augment_faces(images, SIZE, FaceAugmentation(), rng)
    n = len(images)
    # Angle, scale, mirror, offset; contrast, brightness, saturation; blur; extent, centre and share of erasing.
    for shape in ((n,), (n,), (n,), (n, 2), *((n, 1, 1, 1),) * 4, (n, 2, 1), (n, 2, 1), (n, 1, 1, 1)):
        torch.rand(*shape, generator=expected)
    assert torch.equal(rng.get_state(), expected.get_state())
    strong = FaceAugmentation.model_validate(STRENGTHS)
    assert torch.equal(augment_faces(images, SIZE, strong, seeded()), plain)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("channels", "size"), [(1, 17), (3, 32)])
def test_shape_range_and_determinism(share, channels, size):
    images = noise(channels=channels, size=size)
    options = only(**{share: 1}, **STRENGTHS)
    first, again, other = (augment_faces(images, size, options, seeded(seed)) for seed in (0, 0, 1))
    assert first.shape == (6, channels, size, size) and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 255.001
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("share", SHARES)
def test_only_a_share_is_changed(share):
    images = noise(n=200, channels=1, size=16)
    changed = augment_faces(images, 16, only(**{share: 0.25}), seeded())
    count = ((changed - center_crop(images, 16)).abs().amax((1, 2, 3)) > 0.1).sum()
    assert 30 < count < 70


@pytest.mark.slow
def test_all_draws_are_made_on_the_cpu():
    """The meta device computes nothing, so what its run drew can have come from the CPU's generator alone."""
    options = FaceAugmentation.model_validate(dict.fromkeys(SHARES, 0.5))
    on_cpu, on_meta = seeded(), seeded()
    augment_faces(noise(), SIZE, options, on_cpu)
    found = augment_faces(noise().to("meta"), SIZE, options, on_meta)
    assert found.device.type == "meta" and found.shape == (6, 3, SIZE, SIZE)
    assert torch.equal(on_cpu.get_state(), on_meta.get_state())


@pytest.mark.parametrize(
    ("key", "value"),
    [("yaw", 1.5), ("yaw_angle", 46), ("strong_blur_width", 0), ("low_light_level", 0), ("low_light_gamma", 0.5),
     ("small_side", 0), ("jpeg_quality", 0), ("small", -0.1)],
)  # fmt: skip
def test_strengths_out_of_range_are_refused(key, value):
    with pytest.raises(ValidationError, match=key):
        only(**{key: value})


# --- strong blur


def test_blur_takes_detail_and_keeps_the_light():
    images = noise(channels=1)
    plain, blurred = center_crop(images, SIZE), augment_faces(images, SIZE, only(strong_blur=1), seeded())
    assert (detail(blurred) < 0.75 * detail(plain)).all()
    flat = torch.full((6, 1, held_side(SIZE), held_side(SIZE)), 90.0)
    torch.testing.assert_close(
        augment_faces(flat, SIZE, only(strong_blur=1), seeded()), flat[..., :SIZE, :SIZE], atol=0.01, rtol=0
    )


def test_half_of_the_blur_is_gaussian_and_half_is_motion():
    """A blurred point shows the kernel: a Gaussian is as wide in all directions, a line is narrow across its own."""
    size = 49
    points = torch.zeros(300, 1, held_side(size), held_side(size))
    points[..., held_side(size) // 2, held_side(size) // 2] = 255
    kernels = augment_faces(points, size, only(strong_blur=1, strong_blur_width=0.08), seeded())[:, 0].double()
    kernels = kernels / kernels.sum((1, 2), keepdim=True)
    at = torch.arange(size).double() - size // 2
    by_row, by_column = kernels.sum(2), kernels.sum(1)
    mixed = (kernels * at[:, None] * at).sum((1, 2))
    moments = torch.stack([(by_row * at**2).sum(1), mixed, mixed, (by_column * at**2).sum(1)], 1).view(-1, 2, 2)
    across, along = torch.linalg.eigvalsh(moments).clamp(min=0).sqrt().T  # standard deviations in pixels
    assert 3.5 < along.max() < 0.09 * size and along.min() < 0.9
    wide = along > 2
    is_round = (across > 0.95 * along) & wide
    is_line = (across < 0.6) & wide
    assert torch.equal(is_round | is_line, wide) and 0.35 < is_line.sum() / wide.sum() < 0.65


# --- low light


def test_low_light_darkens():
    images = torch.full((300, 1, held_side(16), held_side(16)), 255.0)
    level = augment_faces(images, 16, only(low_light=1, low_light_noise=0), seeded()).mean((1, 2, 3)) / 255
    assert 0.25 <= level.min() < 0.27 and 0.98 < level.max() <= 1


def test_gamma_darkens_shadows_more():
    image = torch.full((300, 1, held_side(16), held_side(16)), 51.0)
    options = only(low_light=1, low_light_level=1, low_light_gamma=2, low_light_noise=0)
    level = augment_faces(image, 16, options, seeded()).mean((1, 2, 3)) / 255
    assert 0.2**2 <= level.min() < 0.042 and 0.195 < level.max() <= 0.2001


def test_the_variance_of_the_noise_grows_with_the_light():
    options = only(low_light=1, low_light_level=1, low_light_gamma=1, low_light_noise=10)
    levels = torch.tensor([40.0, 150.0])
    images = levels.view(2, 1, 1).repeat_interleave(20, 1).expand(400, 2, 20, 20)
    noisy = degrade_image.degrade_faces(images.contiguous(), options, seeded())
    deviation = (noisy - images).std((2, 3))  # (400, 2)
    expected = (0.1 + 0.9 * levels / 255).sqrt() * 10 / math.sqrt(3)  # root mean square of uniform strengths up to 10
    torch.testing.assert_close(deviation.square().mean(0).sqrt(), expected, rtol=0.06, atol=0)


# --- few pixels


def test_small_faces_are_those_of_torch_scaled_down_and_up():
    images = noise(channels=3, size=40)
    options = only(small=1, small_side=0.25)
    small, plain = augment_faces(images, 40, options, seeded()), augment_faces(images, 40, only(), seeded())
    found = set()
    for face, before in zip(small, plain, strict=True):
        gaps = {}
        for side in range(10, 41):
            down = torch.nn.functional.interpolate(before[None], size=side, mode="bilinear", antialias=True)
            up = torch.nn.functional.interpolate(down, size=40, mode="bilinear")[0]
            gaps[side] = float((up - face).abs().max())
        side = min(gaps, key=gaps.get)
        assert gaps[side] < 0.01
        found.add(side)
    assert len(found) > 3
    assert (detail(small) < detail(plain)).all()


# --- JPEG


@pytest.mark.parametrize("quality", [10, 30, 75])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_that_of_a_real_encoder(quality, channels):
    """Blurred noise with colours, whose side is not a whole number of blocks."""
    rgb = cv2.GaussianBlur(noise(n=1, size=48)[0].permute(1, 2, 0).numpy(), (0, 0), 2)[:45, :50]
    rgb = np.clip(3.0 * (rgb.astype(float) - 128) + 128, 0, 255).astype(np.uint8)
    image = np.ascontiguousarray(rgb if channels == 3 else rgb[..., :1])
    _, file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    real = cv2.imdecode(file, cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE)
    real = torch.from_numpy(real.reshape(*image.shape)[..., ::-1].copy()).permute(2, 0, 1)[None].float()
    given = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    shown = jpeg_blocks.compress(given, torch.tensor([float(quality)]))
    changed = (real - given).abs().mean()
    assert (shown - real).abs().mean() < 0.1 * changed + 0.5


def test_jpeg_makes_blocks_where_the_grid_is():
    """At the worst quality, each block of a smooth slope is flat, with jumps at the grid alone."""
    slope = torch.arange(40.0).expand(1, 1, 40, 40) * 5 + 20
    jumps = jpeg_blocks.compress(slope, torch.tensor([1.0]), (0, 3)).diff(dim=3).abs().amax((0, 1, 2)) > 1
    assert jumps.nonzero()[:, 0].tolist() == [4, 12, 20, 28, 36]


def test_jpeg_of_the_best_quality_keeps_what_it_sees():
    images = noise(channels=1).float()
    torch.testing.assert_close(jpeg_blocks.compress(images, torch.full((6,), 100.0)), images, atol=2.1, rtol=0)


def test_the_grid_of_jpeg_starts_anywhere():
    slope = (torch.arange(40.0) * 5 + 20).expand(1, 1, 40, 40)
    options = only(jpeg=1, jpeg_quality=1)
    starts = set()
    for seed in range(40):
        jumps = degrade_image.degrade_faces(slope, options, seeded(seed)).diff(dim=3).abs().amax((0, 1, 2))
        starts.add(int(jumps.view(-1)[:32].view(4, 8).sum(0).argmax()))
    assert len(starts) >= 6


# --- half profiles


def columns(n, size):
    """(n, 1, side, side): each pixel shows its column, from -1 at the left edge of the face to 1 at the right."""
    side = held_side(size)
    at = (torch.arange(side) - (side - 1) / 2) / (size / 2)
    return (100 + 80 * at).expand(n, 1, side, side)


def test_half_profiles_move_pixels_horizontally_only():
    size, n = 40, 50
    rows = columns(n, size).mT.contiguous()
    turned = augment_faces(rows, size, only(yaw=1), seeded())
    torch.testing.assert_close(turned, center_crop(rows, size), atol=0.02, rtol=0)
    shown = (augment_faces(columns(n, size), size, only(yaw=1), seeded()) - 100) / 80
    torch.testing.assert_close(shown, shown[:, :, :1].expand_as(shown), atol=1e-4, rtol=0)  # each row alike
    assert (shown.diff(dim=3) > -1e-4).all()  # nothing is folded
    assert (shown - (center_crop(columns(n, size), size) - 100) / 80).abs().amax((1, 2, 3)).max() > 0.2


@pytest.mark.parametrize("degrees", [-45, -20, 0, 10, 45])
def test_the_warp_inverts_the_turn_of_a_parabola(degrees):
    angle = torch.tensor([math.radians(degrees)], dtype=torch.float64)
    size, r, eyes = 2000, half_profile.HALF_WIDTH, half_profile.EYES
    place = (2 * torch.arange(size) + 1) / size - 1
    x = place + half_profile.turned_offsets(angle, size)[0]
    on_face = x.abs() < r
    lift = half_profile.DEPTH * (1 - (x / r) ** 2) - half_profile.DEPTH * (1 - (eyes / r) ** 2)
    turned = x * torch.cos(angle) + lift * torch.sin(angle)
    torch.testing.assert_close(turned[on_face], place.double()[on_face], atol=1e-5, rtol=0)
    steps = x.diff()[~on_face[1:] & ~on_face[:-1]]  # beyond the ears, pixels keep their distance
    torch.testing.assert_close(steps, torch.full_like(steps, 2 / size), atol=1e-5, rtol=0)


def test_half_profiles_turn_about_the_axis_of_the_face():
    """A face that is rotated by 90 degrees is turned along the picture's columns."""
    size = 40
    faces = columns(300, size).mT.contiguous()
    turned = augment_faces(faces, size, only(yaw=1, rotation=180), seeded())
    upright = augment_faces(faces, size, only(rotation=180), seeded())
    # Rotated by 90 degrees, rows of the stored face are columns of what is shown: they move. Upright, they stay.
    gap = (turned - upright).abs().amax((1, 2, 3))
    assert gap.max() > 15 and gap.min() < 3


def test_angles_go_both_ways_up_to_the_largest():
    angle = torch.rad2deg(half_profile.draw_angles(1.0, 30.0, 500, seeded()))
    assert 28 < angle.max() <= 30 and -30 <= angle.min() < -28 and abs(angle.mean()) < 2
    assert (half_profile.draw_angles(0.5, 30.0, 500, seeded()) == 0).float().mean() == pytest.approx(0.5, abs=0.08)
