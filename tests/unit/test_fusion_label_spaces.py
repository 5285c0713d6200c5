"""Fusion networks for every kind of label space: the losses, what a batch of them learns, and the answers."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score

from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.fusion.answers import answers, in_units
from emopipe.fusion.candidate_scores import candidate_scores
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.features import Features
from emopipe.fusion.loss import LEAST_SPREAD, SQUARED_ERROR, Concordance, Loss, concordance
from emopipe.fusion.model import FusionModel
from emopipe.fusion.options import EarlyStopping, FusionOptions, candidates
from emopipe.fusion.stack import Run
from emopipe.fusion.training import predict, train

CPU = torch.device("cpu")
NAMES = ("bored", "engaged", "confused")
SPACES = {
    "single": LabelSpace(NAMES),
    "votes": LabelSpace(NAMES, "votes"),
    "multi": LabelSpace(NAMES, "multi"),
    "dimensions": LabelSpace(("valence", "arousal"), "dimensions", 1.0, 5.0),
}
SMALL = {"hidden": 8, "out": 8, "epochs": 3, "lr": 1e-2, "batch": 16, "dropout": 0.1, "seeds": [0, 1]}
LEARNING = {
    **SMALL, "epochs": 20, "lr": 3e-2, "dropout": 0.0, "modality_dropout": 0.0, "label_smoothing": 0.0,
    "weight_decay": 0.0, "face_attention": "mean", "audio_attention": "mean",
}  # fmt: skip


def truth(x: np.ndarray, space: LabelSpace, rng: np.random.Generator) -> np.ndarray:
    """Targets (N, K) that depend on vectors (N, D) by a linear map."""
    z = 2 * x[:, : len(space)]
    if space.kind == "multi":
        return (z > 0.5).astype(float)
    if space.kind == "dimensions":
        return np.clip(3 + 0.6 * z, space.low, space.high)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return p if space.kind == "votes" else np.eye(len(space))[[rng.choice(len(space), p=row) for row in p]]


def data_of(space: LabelSpace, n: int = 60, seed: int = 0, dtype: str = "f8", classes: np.ndarray | None = None):
    """Clips with one to four vectors of a face and one of a sound, which is missing of each fifth; the last clip has no
    label. Vectors are float64, as training amplifies the rounding of sums, whose order depends on the padding."""
    rng = np.random.default_rng(seed)
    one = rng.normal(size=(n, 24))  # many, so that their norm, which layer normalization removes, says little
    length = rng.integers(1, 5, n)
    found = {
        "f": (one.repeat(length, 0), length),
        "v": (one[np.arange(n) % 5 != 0], (np.arange(n) % 5 != 0).astype(int)),
    }
    streams = {}
    for name, (x, lengths) in found.items():
        count = torch.from_numpy(lengths)
        streams[name] = [Features(torch.from_numpy(x.astype(dtype)), count.cumsum(0) - count, count)]
    targets = truth(one, space, rng)
    targets[-1] = np.nan
    return FusionDataset.from_views(streams, {"f": "face", "v": "audio"}, targets, CPU, classes, space=space)


def runs_of(data: FusionDataset, options: FusionOptions, fold: int = -1) -> list[Run]:
    clips = np.flatnonzero(np.arange(len(data.targets) - 1) % 3 != fold)
    stop = np.setdiff1d(np.arange(len(data.targets) - 1), clips)[:7]
    return [Run(options, seed, clips, stop, 3) for seed in options.seeds]


# -- losses ------------------------------------------------------------------------------------------------------------


def loss_of(data: FusionDataset, logits: torch.Tensor, clips: int = 6, mixup=None, **options) -> torch.Tensor:
    """The loss of one network for logits (1, 8, K) of the first 8 clips, of which `clips` are valid."""
    loss = Loss(data, runs_of(data, FusionOptions(**{"label_smoothing": 0.0, "seeds": [0], **options})))
    return loss(logits, torch.arange(8)[None], torch.arange(8)[None] < clips, mixup)[0]


def logits_of(space: LabelSpace) -> torch.Tensor:
    return torch.randn(1, 8, len(space), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_votes_is_the_cross_entropy_of_their_shares(smoothing: float) -> None:
    data = data_of(SPACES["votes"])
    logits, shares = logits_of(data.space), data.targets[:6]
    expected = F.cross_entropy(logits[0, :6], shares, label_smoothing=smoothing)
    torch.testing.assert_close(loss_of(data, logits, label_smoothing=smoothing), expected)
    # a class weighs by the votes that it has in all
    counts = data.targets[:-1].sum(0)
    weights = shares @ (counts.sum() / (3 * counts))
    losses = -(shares * logits[0, :6].log_softmax(1)).sum(1)
    found = loss_of(data, logits, class_weights="balanced")
    torch.testing.assert_close(found, (losses * weights).sum() / weights.sum())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_several_classes_is_the_mean_binary_cross_entropy(smoothing: float) -> None:
    data = data_of(SPACES["multi"])
    logits, target = logits_of(data.space), data.targets[:6]
    smooth = target * (1 - smoothing) + smoothing / 2
    p = logits[0, :6].sigmoid()
    losses = -(smooth * p.log() + (1 - smooth) * (1 - p).log())
    torch.testing.assert_close(loss_of(data, logits, label_smoothing=smoothing), losses.mean())
    # balanced: with and without a class count as much as each other
    shown, n = data.targets[:-1].sum(0), len(data.targets) - 1
    weights = torch.where(target > 0, n / (2 * shown), n / (2 * (n - shown)))
    found = loss_of(data, logits, label_smoothing=smoothing, class_weights="balanced")
    torch.testing.assert_close(found, (losses * weights).sum() / weights.sum())
    everyone = torch.where(data.targets[:-1] > 0, n / (2 * shown), n / (2 * (n - shown)))
    torch.testing.assert_close((everyone * data.targets[:-1]).sum(0), torch.full((3,), n / 2, dtype=torch.float64))


def test_of_several_classes_one_without_a_training_clip_takes_no_part() -> None:
    space = SPACES["multi"]
    data = data_of(space, classes=np.array([True, False, True]))
    data = dataclasses.replace(data, targets=data.targets * torch.tensor([1, 0, 1]))
    logits = logits_of(space).requires_grad_()
    found = loss_of(data, logits, label_smoothing=0.2)
    rest = data.targets[:6, [0, 2]] * 0.8 + 0.1
    torch.testing.assert_close(found, F.binary_cross_entropy_with_logits(logits[0, :6, [0, 2]], rest))
    (gradient,) = torch.autograd.grad(found, logits)
    assert gradient.isfinite().all() and (gradient[..., 1] == 0).all() and gradient[0, :6, [0, 2]].all()
    p = data.answers(logits)
    assert (p[..., 1] == 0).all() and (p[..., [0, 2]] > 0).all()


def textbook(x: np.ndarray, y: np.ndarray) -> float:
    """Lin's concordance correlation coefficient of x and y (N,)."""
    return 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def test_the_loss_of_dimensions_is_one_minus_the_ccc_over_the_valid_clips() -> None:
    data = data_of(SPACES["dimensions"])
    logits, units = logits_of(data.space), (data.targets[:6].numpy() - 3) / 2
    given = logits[0, :6].numpy()
    each = [
        1 - textbook(given[:, k], units[:, k]) + SQUARED_ERROR * np.mean((given - units)[:, k] ** 2) for k in (0, 1)
    ]
    assert loss_of(data, logits).item() == pytest.approx(np.mean(each), rel=1e-5)
    same = torch.as_tensor(units, dtype=torch.float64)
    perfect = torch.cat([same, torch.zeros(2, 2, dtype=torch.float64)])[None]
    assert loss_of(data, perfect).item() == pytest.approx(0, abs=1e-5)
    # label smoothing and weights of classes change nothing
    assert loss_of(data, logits, label_smoothing=0.3, class_weights="balanced") == loss_of(data, logits)


def test_the_ccc_has_the_gradient_that_it_should_have() -> None:
    values = logits_of(SPACES["dimensions"]).requires_grad_()
    targets = torch.randn(1, 8, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    share = torch.full((1, 8, 1), 1 / 8, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: concordance(x, targets, share), (values,))
    loss = Concordance(data_of(SPACES["dimensions"]), torch.zeros(1))
    assert torch.autograd.gradcheck(lambda x: loss(x, targets, torch.ones(1, 8, dtype=torch.float64)), (values,))
    (of_ccc,) = torch.autograd.grad(concordance(values, targets, share).sum(), values)
    assert of_ccc.abs().max() > 1e-3


@pytest.mark.parametrize("clips", [1, 6])
def test_a_batch_without_variance_moves_the_answers_towards_the_targets(clips: int) -> None:
    """Its CCC is 0 whatever the network answers; also where answers are exactly the targets, nothing is NaN."""
    data = data_of(SPACES["dimensions"])
    data = dataclasses.replace(data, targets=torch.full_like(data.targets, 4.0))
    start = torch.zeros(1, 8, 2, dtype=torch.float64)
    for at, sign in ((0.0, -1), (0.5, 0), (1.0, 1)):  # in units, the target is 0.5
        logits = (start + at).requires_grad_()
        (gradient,) = torch.autograd.grad(loss_of(data, logits, clips), logits)
        np.testing.assert_array_equal(gradient[0, :clips].round(decimals=9).sign(), np.full((clips, 2), sign))
        assert (gradient[0, clips:] == 0).all()
    assert LEAST_SPREAD < 1e-4


@pytest.mark.parametrize("kind", SPACES)
def test_mixup_mixes_targets_as_it_mixes_vectors(kind: str) -> None:
    data = data_of(SPACES[kind])
    loss = Loss(data, runs_of(data, FusionOptions(seeds=[0], mixup=0.4, label_smoothing=0.0)))
    rows, valid = torch.arange(8)[None], torch.arange(8)[None] < 6
    partner, share = loss.draw_mixup(torch.tensor([3], dtype=torch.int32), valid)
    logits, space = logits_of(data.space), data.space
    vectors = torch.from_numpy(data.vectors(np.arange(8)))
    own = in_units(vectors, space) if kind == "dimensions" else vectors
    mixed = (own * share[0, :, None] + own[partner[0]] * (1 - share[0, :, None]))[:6]
    given = logits[0, :6]
    if kind == "multi":
        expected = F.binary_cross_entropy_with_logits(given, mixed)
    elif kind == "dimensions":
        ccc = [textbook(x.numpy(), y.numpy()) for x, y in zip(given.T, mixed.T, strict=True)]
        expected = 1 - torch.tensor(np.mean(ccc)) + SQUARED_ERROR * (given - mixed).square().mean()
    else:
        expected = F.cross_entropy(given, mixed)
    found = loss(logits, rows, valid, (partner, share))[0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


# -- answers -----------------------------------------------------------------------------------------------------------


def test_what_networks_answer() -> None:
    logits = torch.tensor([[0.0, 2.0, -3.0]], dtype=torch.float64)
    np.testing.assert_allclose(answers(logits, SPACES["votes"]), logits.softmax(1))
    np.testing.assert_allclose(answers(logits, SPACES["multi"]), 1 / (1 + np.exp(-logits.numpy())))
    np.testing.assert_allclose(answers(logits[:, :2], SPACES["dimensions"]), [[3.0, 5.0]])  # 3 + 2 * 2 is above 5
    np.testing.assert_allclose(answers(logits[:, 1:], SPACES["dimensions"]), [[5.0, 1.0]])
    space = LabelSpace(("v", "a"), "dimensions", -1.0, 1.0)
    np.testing.assert_allclose(answers(torch.tensor([[0.25, -0.5]]), space), [[0.25, -0.5]])
    np.testing.assert_allclose(in_units(torch.tensor([1.0, 3.0, 5.0]), SPACES["dimensions"]), [-1, 0, 1])


@pytest.mark.parametrize("kind", SPACES)
def test_late_fusion_averages_the_answers_of_the_streams(kind: str) -> None:
    space = SPACES[kind]
    data = data_of(space)
    model = FusionModel(
        data.moments(np.arange(59)), data.modalities, FusionOptions(**SMALL, fusion="late"), len(space), space.kind
    )
    head = model.double().eval().network.head
    with torch.no_grad():
        head.weight.copy_(torch.tensor([1.0, 0.0]))
    vectors = {s: torch.randn(3, encoder.out_dim, dtype=torch.float64) for s, encoder in model.network.encoders.items()}
    present = {"f": torch.tensor([True, True, True]), "v": torch.tensor([True, False, True])}
    found = answers(head(vectors, present), space)
    alone = torch.stack([answers(head.classify[s](x), space) for s, x in vectors.items()], 1)  # (3, S, K)
    share = torch.tensor([1.0, 0.0], dtype=torch.float64).softmax(0)
    expected = torch.where(present["v"][:, None], (alone * share[:, None]).sum(1), alone[:, 0])
    if kind == "dimensions":  # values, before they are moved to the range
        inside = ((alone > space.low) & (alone < space.high)).all(1)
        assert inside.any()
        found, expected = found[inside], expected[inside]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_class_numbers_and_vectors_are_the_same_targets() -> None:
    """Networks of `single` are the same to the last bit, however their targets are given."""
    data = data_of(SPACES["single"], dtype="f4")
    assert data.targets.shape == (60,) and data.targets[-1] == -1
    vectors = data.vectors(np.arange(60))
    np.testing.assert_array_equal(vectors[:-1].argmax(1), data.targets[:-1])
    assert np.isnan(vectors[-1]).all() and (vectors[:-1].sum(1) == 1).all()
    given = {s: [f] for s, f in data.streams.items()}
    numbers = data.targets.numpy()
    again = FusionDataset.from_views(given, data.modalities, numbers, CPU, space=data.space)
    seven = FusionDataset.from_views(given, data.modalities, numbers, CPU)
    assert torch.equal(again.targets, data.targets) and seven.space == BASIC7 and len(seven.classes) == 7


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize(
    "keys",
    [
        {"class_weights": "balanced", "fusion": "late", "label_smoothing": 0.1},
        {"mixup": 0.4, "early_stopping": EarlyStopping(patience=1)},
    ],
    ids=["balanced-late", "mixup-early"],
)
def test_a_batch_of_networks_equals_single_networks(kind: str, keys: dict) -> None:
    data = data_of(SPACES[kind])
    wide = FusionOptions(**SMALL, **keys, search={"lr": [1e-2, 3e-3]})
    runs = [run for options in candidates(wide) for fold in (-1, 0, 1) for run in runs_of(data, options, fold)]
    rows = [np.array([3, 0, 7, 59])] * len(runs)
    together = train(data, runs)
    found = predict(data, together, rows)
    assert {p.shape for p in found} == {(4, len(data.space))}
    for number in range(0, len(runs), 5):
        alone = train(data, [runs[number]])
        assert alone[0].epochs == together[number].epochs
        np.testing.assert_allclose(predict(data, alone, rows[:1])[0], found[number], atol=1e-7)
    assert len({p.tobytes() for p in found}) == len(runs)
    again = predict(data, train(data, runs), rows)
    assert all(p.tobytes() == q.tobytes() for p, q in zip(found, again, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPACES)
def test_networks_learn_a_linear_truth(kind: str) -> None:
    space = SPACES[kind]
    data, fresh = data_of(space, 600, dtype="f4"), data_of(space, 200, seed=1, dtype="f4")
    networks = train(data, [Run(FusionOptions(**LEARNING), 0, np.arange(599), np.arange(0), 6)])
    clips = np.flatnonzero(fresh.streams["v"].present.numpy()[:-1])
    values, targets = predict(fresh, networks, [clips])[0], fresh.vectors(clips)
    if kind == "multi":
        assert average_precision_score(targets, values, average="macro") > 0.95
    elif kind == "dimensions":
        assert min(textbook(values[:, k], targets[:, k]) for k in (0, 1)) > 0.9
        assert values.min() >= space.low and values.max() <= space.high
    else:
        z = 2 * fresh.streams["v"].x[:, :3].double().numpy()
        p = (np.exp(z) / np.exp(z).sum(1, keepdims=True))[: len(clips)]
        entropy = -(p * np.log(p)).sum(1).mean()
        guess = -(targets * np.log(targets.mean(0))).sum(1).mean()
        loss = -(targets * np.log(values)).sum(1).mean()
        assert loss < entropy + (0.02 if kind == "votes" else 0.05) < guess - 0.1
        assert kind == "single" or loss > entropy


# -- candidates --------------------------------------------------------------------------------------------------------


def test_candidates_have_the_loss_and_the_score_of_their_label_space() -> None:
    rng = np.random.default_rng(0)
    p, target = rng.dirichlet(np.ones(3), 50), rng.integers(3, size=50)
    found = candidate_scores(p, np.eye(3)[target], SPACES["single"])
    assert found == {
        "oof_loss": pytest.approx(-np.log(p[range(50), target]).mean()),
        "oof_accuracy": (p.argmax(1) == target).mean(),
    }
    shares = np.array([[0.5, 0.5, 0], [0.2, 0.3, 0.5], [0, 1, 0]])  # the first one is a tie, which has no accuracy
    of_votes = candidate_scores(np.array([[1.0, 0, 0], [0, 0, 1], [1, 0, 0]]), shares, SPACES["votes"])
    assert of_votes["oof_accuracy"] == 0.5 and of_votes.keys() == found.keys()
    assert np.isnan(candidate_scores(p[:1], shares[:1], SPACES["votes"])["oof_accuracy"])
    present = (rng.random((50, 3)) < 0.4).astype(float)
    of_several = candidate_scores(p, present, SPACES["multi"])
    assert of_several.keys() == {"oof_loss", "oof_macro_ap"}
    assert of_several["oof_macro_ap"] == pytest.approx(average_precision_score(present, p, average="macro"))
    values, given = rng.uniform(1, 5, (2, 50, 2))
    of_dimensions = candidate_scores(values, given, SPACES["dimensions"])
    assert of_dimensions["oof_ccc"] == pytest.approx(np.mean([textbook(values[:, k], given[:, k]) for k in (0, 1)]))
    assert of_dimensions["oof_loss"] == pytest.approx(((values - given) ** 2).mean() / 4)
