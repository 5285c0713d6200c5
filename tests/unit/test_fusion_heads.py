"""Fusion across streams: bilinear forms, gates, late fusion, cross-modal transformer; missing streams do not count."""

import pytest
import torch
from torch.autograd import gradcheck

from emopipe.fusion.bilinear import AdaptiveBilinearPooling, FactorizedBilinearPooling
from emopipe.fusion.crossmodal_transformer import CrossModalTransformer
from emopipe.fusion.heads import FUSION_HEADS, GatedHead, LateHead
from emopipe.fusion.model import FusionModel, ModalityDropout, Moments
from emopipe.fusion.options import FusionOptions
from emopipe.fusion.stream_batch import StreamBatch

MODALITIES = {"face": "face", "other": "face", "voice": "audio"}
DIMS = {"face": 6, "other": 4, "voice": 5}
FUSIONS = list(FUSION_HEADS)


class TestFactorizedBilinearPooling:
    def test_is_the_explicit_bilinear_form(self):
        torch.manual_seed(0)
        pooling = FactorizedBilinearPooling(4, 6, out=3, factor=2, dropout=0.5, signed_sqrt=False).double().eval()
        a, v = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
        u = pooling.project_a.weight.view(3, 2, 4)  # (out, factor, dim_a)
        w = pooling.project_v.weight.view(3, 2, 6)
        forms = torch.einsum("okm,okn->omn", u, w)  # W_i = U_i V_i^T
        z = torch.einsum("bm,omn,bn->bo", a, forms, v)
        torch.testing.assert_close(pooling(a, v), z / z.norm(dim=1, keepdim=True))
        pooling.signed_sqrt = True
        root = z.sign() * z.abs().sqrt()
        torch.testing.assert_close(pooling(a, v), root / root.norm(dim=1, keepdim=True), atol=1e-5, rtol=0)

    def test_its_projections_are_linear_without_bias(self):
        linear = [m for m in FactorizedBilinearPooling(4, 6, 3, 2).modules() if isinstance(m, torch.nn.Linear)]
        assert [(m.in_features, m.out_features, m.bias) for m in linear] == [(4, 6, None), (6, 6, None)]

    def test_dropout_is_on_the_product_in_training_alone(self):
        torch.manual_seed(0)
        pooling = FactorizedBilinearPooling(4, 6, out=50, factor=1, dropout=0.5, signed_sqrt=False)
        a, v = torch.randn(4, 4), torch.randn(4, 6)
        assert 0.3 < (pooling.train()(a, v) == 0).float().mean() < 0.7
        assert (pooling.eval()(a, v) != 0).all()
        torch.testing.assert_close(pooling(a, v), pooling(a, v))

    def test_gradients(self):
        torch.manual_seed(0)
        pooling = FactorizedBilinearPooling(3, 4, out=2, factor=2, dropout=0.0).double()
        a, v = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
        assert gradcheck(pooling, (a.requires_grad_(), v.requires_grad_()))

    def test_zeros_have_gradients(self):
        pooling = FactorizedBilinearPooling(3, 4, out=2, factor=2)
        a = torch.zeros(2, 3, requires_grad=True)
        pooling(a, torch.randn(2, 4)).sum().backward()
        assert torch.isfinite(a.grad).all()


def test_adaptive_pooling_hands_its_options_on():
    chosen = AdaptiveBilinearPooling(4, 6, out=3, factor=2, dropout=0.3, signed_sqrt=False).pooling
    assert (chosen.dropout.rate, chosen.signed_sqrt) == (torch.tensor(0.3), False)
    for default in (AdaptiveBilinearPooling(4, 6, 3, 2).pooling, FactorizedBilinearPooling(4, 6, 3, 2)):
        assert (default.dropout.rate, default.signed_sqrt) == (torch.tensor(0.1), True)


def test_adaptive_weights_depend_on_the_clip_and_omit_missing_modalities():
    torch.manual_seed(0)
    pooling = AdaptiveBilinearPooling(4, 6, out=3, factor=2).double().eval()
    a, v = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    present = torch.tensor([[True, True], [True, False], [False, True]])
    z = pooling(a, v, present)
    torch.testing.assert_close(z[:, :3], pooling.pooling(a, v))
    sizes = torch.stack([z[:, 3:6].norm(dim=1), z[:, 6:].norm(dim=1)], 1)  # the weights, of vectors of length one
    scores = torch.cat([pooling.score_a(a), pooling.score_v(v)], 1)
    torch.testing.assert_close(sizes[0], scores[0].softmax(0))
    torch.testing.assert_close(sizes[1:], torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
    assert gradcheck(lambda x, y: pooling(x, y, present), (a.requires_grad_(), v.requires_grad_()))


def vectors(clips=4):
    torch.manual_seed(1)
    found = {stream: torch.randn(clips, dim, dtype=torch.float64) for stream, dim in DIMS.items()}
    return found, {stream: torch.ones(clips, dtype=torch.bool) for stream in DIMS}


def test_gates_are_a_softmax_over_present_streams():
    found, present = vectors()
    gated = GatedHead(DIMS, MODALITIES, FusionOptions(out=8), 7).double().eval()
    before = gated(found, present)
    present["voice"][0] = False
    gates = gated.gate(torch.cat(list(found.values()), 1))[0, :2].softmax(0)  # face, other
    hidden = [torch.tanh(gated.project[s](found[s][0])) for s in ("face", "other")]
    torch.testing.assert_close(gated(found, present)[0], gated.classify(gates[0] * hidden[0] + gates[1] * hidden[1]))
    torch.testing.assert_close(gated(found, present)[1:], before[1:])


def test_a_gmu_is_the_papers_unit_for_two_streams():
    """z = sigma(W_z [v : t]); h = z * tanh(W_v v) + (1 - z) * tanh(W_t t), with one z a unit (Arevalo et al.)."""
    torch.manual_seed(0)
    dims = {"face": 6, "voice": 5}
    gmu = GatedHead(dims, MODALITIES, FusionOptions(fusion="gmu", out=8), 7).double().eval()
    found, present = vectors()
    v, t = found["face"], found["voice"]
    assert gmu.gate.weight.shape == (8 * 2, 11)
    rows = gmu.gate(torch.cat([v, t], 1)).view(-1, 8, 2)
    z = (rows[..., 0] - rows[..., 1]).sigmoid()
    h = z * torch.tanh(gmu.project["face"](v)) + (1 - z) * torch.tanh(gmu.project["voice"](t))
    two = {stream: found[stream] for stream in dims}
    torch.testing.assert_close(gmu(two, present), gmu.classify(h))
    assert (z.std(1) > 0.05).all()  # the units of a clip have different gates


@pytest.mark.parametrize("fusion", ["gated", "gmu"])
def test_gates_skip_missing_streams_and_do_not_depend_on_the_order_of_clips(fusion):
    found, present = vectors()
    present["voice"][0] = present["face"][1] = present["other"][1] = False
    head = GatedHead(DIMS, MODALITIES, FusionOptions(fusion=fusion, out=8), 7).double().eval()
    logits, order = head(found, present), torch.tensor([3, 0, 2, 1])
    alone = head.classify(torch.tanh(head.project["voice"](found["voice"][1])))
    torch.testing.assert_close(logits[1], alone)  # the only stream has all the weight
    moved = head({s: x[order] for s, x in found.items()}, {s: p[order] for s, p in present.items()})
    torch.testing.assert_close(moved, logits[order])
    for stream in DIMS:
        present[stream][3] = False
    torch.testing.assert_close(head(found, present)[3], head.classify.bias)


def test_late_fusion_averages_probabilities_of_present_streams():
    found, present = vectors()
    late = LateHead(DIMS, MODALITIES, FusionOptions(), 7).double().eval()
    present["other"][0] = present["voice"][0] = False
    p = torch.stack([late.classify[s](found[s]).softmax(1) for s in DIMS])
    torch.testing.assert_close(late(found, present)[0].exp(), p[0, 0])
    torch.testing.assert_close(late(found, present)[1:].exp(), p.mean(0)[1:])


def streams(lengths=None, clips=4):
    torch.manual_seed(2)
    made = {}
    for stream, dim in DIMS.items():
        counts = torch.tensor((lengths or {}).get(stream, [3] * clips))
        mask = torch.arange(3)[None] < counts[:, None]
        x = torch.randn(clips, 3, dim, dtype=torch.float64)
        made[stream] = StreamBatch(
            x, mask, 0.3 * torch.arange(3.0).expand(clips, 3), x.new_zeros(clips, 0), x.new_zeros(clips, 0)
        )
    return made


def build(fusion, **options):
    torch.manual_seed(0)
    moments = {stream: Moments(torch.zeros(dim), torch.ones(dim)) for stream, dim in DIMS.items()}
    return FusionModel(moments, MODALITIES, FusionOptions(fusion=fusion, hidden=8, **options), 7).double().eval()


@pytest.mark.slow
@pytest.mark.parametrize("fusion", FUSIONS)
def test_any_number_of_streams_and_any_missing_ones(fusion):
    """Masked vectors change nothing, and a clip without any stream gets finite logits."""
    model = build(fusion)
    batch = streams({"voice": [0, 3, 1, 0], "face": [3, 0, 1, 0], "other": [3, 3, 1, 0]})
    logits = model(batch)
    assert logits.shape == (4, 7) and torch.isfinite(logits).all()
    changed = {
        s: given._replace(
            x=torch.where(given.mask[..., None], given.x, 99.0), time=torch.where(given.mask, given.time, 7.0)
        )
        for s, given in batch.items()
    }
    torch.testing.assert_close(model(changed), logits)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_missing_modality_is_not_a_zero(fusion):
    """Missing audio gives other logits than audio whose vectors are all zero."""
    model = build(fusion)
    absent = streams({"voice": [0, 0, 0, 0]})
    heard = {"x": torch.zeros(4, 3, 5, dtype=torch.float64), "mask": torch.ones(4, 3, dtype=torch.bool)}
    zeros = {**absent, "voice": absent["voice"]._replace(**heard)}
    assert not torch.allclose(model(absent), model(zeros), atol=1e-3)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_all_streams_count(fusion):
    model, batch = build(fusion), streams()
    for stream in DIMS:
        moved = batch[stream]._replace(x=batch[stream].x + 1)
        assert not torch.allclose(model({**batch, stream: moved}), model(batch), atol=1e-4)


def test_crossmodal_transformer_attends_to_the_others_alone():
    torch.manual_seed(0)
    crossmodal = CrossModalTransformer(DIMS, 8, 2, 0.0).double().eval()
    batch = streams({"face": [0, 3, 3, 3], "other": [0, 3, 3, 3]})
    out = crossmodal(batch)
    x, mask, *_ = batch["face"]
    moved = crossmodal({**batch, "face": batch["face"]._replace(x=torch.where(mask[..., None], x + 1, x))})
    assert not torch.allclose(moved["voice"][1:], out["voice"][1:])  # audio attends to faces
    torch.testing.assert_close(moved["voice"][0], out["voice"][0])  # and to nothing in a clip without faces


def test_modality_dropout_leaves_one():
    torch.manual_seed(0)
    drop = ModalityDropout({"face": "face", "voice": "audio"}, 0.9).train()
    face, voice = torch.ones(200, 2, dtype=torch.bool), torch.ones(200, 2, dtype=torch.bool)
    face[:20], voice[20:40] = False, False
    nothing = torch.zeros(200, 2, 1), torch.zeros(200, 2), torch.zeros(200, 0), torch.zeros(200, 0)
    data = {s: StreamBatch(nothing[0], mask, *nothing[1:]) for s, mask in (("face", face), ("voice", voice))}
    hidden = {stream: given.present for stream, given in drop(data).items()}
    assert (hidden["face"] | hidden["voice"]).all()
    assert (hidden["voice"][:20]).all() and (hidden["face"][20:40]).all()
    lost = torch.stack([~hidden["face"][40:], ~hidden["voice"][40:]]).float().mean(1)
    assert ((lost > 0.3) & (lost < 0.6)).all()
    assert drop.eval()(data) is data
