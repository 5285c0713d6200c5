"""Whisper's encoder as a backbone: on a clip's own frames and padded, any layers, in pieces, from all kinds of folders.

The networks are tiny ones that transformers makes and saves here, with a window of 1 s in place of 30. The real encoder
is read where EMOPIPE_SHARED is set.
"""

import importlib.metadata
import importlib.util
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from emopipe.backbones import registry
from emopipe.backbones.base import WaveInput
from emopipe.backbones.nets.hf_whisper import HfWhisper
from emopipe.cache.store import Reader, Row, Writer
from emopipe.core.errors import ConfigError, WeightsError
from emopipe.core.fingerprint import digest
from emopipe.media import rows as media_rows
from emopipe.stages import features, merge

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers, of the extra hf, is not installed"
)
RATE, HOP, D, LAYERS = 16_000, 320, 16, 2
TINY = {
    "d_model": D,
    "encoder_layers": LAYERS,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 24,
    "vocab_size": 32,
    "num_mel_bins": 8,
    "max_source_positions": 50,
    "max_target_positions": 8,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0),
    "begin_suppress_tokens": None,
}


def noise(samples, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def save_tiny(folder, kind="WhisperModel", half=False, **keys):
    """A whole Whisper of a few thousand parameters, or its encoder alone; returns the encoder."""
    import transformers
    from transformers.models.whisper import modeling_whisper

    torch.manual_seed(1)
    model = getattr(modeling_whisper, kind)(transformers.WhisperConfig(**{**TINY, **keys})).eval()
    encoder = model.get_encoder() if kind != "WhisperEncoder" else model
    with torch.no_grad():  # so that layers change what they read, and the positions count
        for parameter in encoder.parameters():
            parameter.mul_(3)
    assert sum(parameter.numel() for parameter in model.parameters()) < 20_000
    (model.half() if half else model).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder)
    return encoder.float()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder, and the encoder in it."""
    folder = tmp_path_factory.mktemp("nets") / "tiny"
    return folder, save_tiny(folder)


def options(folder, **keys):
    return registry.options_class("hf").model_validate({"weights": str(folder), **keys})


def opened(folder, **keys):
    return registry.build("hf", options(folder, **keys), device="cpu", threads=1)


def extractor_of(folder):
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)


@torch.inference_mode()
def padded_states(model, folder, wave):
    """The hidden states (T, d) of transformers' own forward, without those of padding."""
    mel = extractor_of(folder)(wave, sampling_rate=RATE, return_tensors="pt").input_features
    found = model(mel, output_hidden_states=True).hidden_states
    return [state[0, : -(-len(wave) // HOP)].numpy() for state in found]


@torch.inference_mode()
def own_states(model, folder, wave):
    """The hidden states (T, d) of a clip's own frames, as the README of the shared encoder computes them."""
    frames = -(-len(wave) // HOP)
    wave = np.pad(wave, (0, HOP * frames - len(wave)))
    made = extractor_of(folder)(wave, sampling_rate=RATE, padding=False, return_tensors="pt")
    mel = made.input_features[..., : 2 * frames]
    x = torch.nn.functional.gelu(model.conv2(torch.nn.functional.gelu(model.conv1(mel)))).transpose(1, 2)
    states = [x + model.embed_positions.weight[: x.shape[1]]]
    for layer in model.layers:
        states.append(layer(states[-1], None))
    states[-1] = model.layer_norm(states[-1])
    return [state[0].numpy() for state in states]


def normed(state):
    return (state - state.mean(-1, keepdims=True)) / np.sqrt(state.var(-1, keepdims=True) + 1e-5)


# -- forms and layers -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 319, 321, 9_600, RATE])
@pytest.mark.parametrize("padded", [False, True])
def test_states_are_those_of_transformers_and_of_the_clips_own_frames(tiny, samples, padded):
    folder, model = tiny
    wave = noise(samples)
    expected = (padded_states if padded else own_states)(model, folder, wave)
    for layer, state in enumerate(expected):
        net = opened(folder, layers=layer, padded=padded)
        found = net(wave[None])
        assert found.shape == (1, -(-samples // HOP), D) and found.dtype == np.float32
        np.testing.assert_allclose(found[0], state, atol=1e-5)
    np.testing.assert_array_equal(opened(folder, padded=padded)(wave[None]), found)  # the last


def test_the_two_forms_differ_in_a_short_clip_and_agree_in_a_full_window(tiny):
    short, full = noise(5_000), noise(RATE)
    own, padded = (opened(tiny[0], padded=padded) for padded in (False, True))
    assert np.abs(own(short[None]) - padded(short[None])).max() > 1e-2
    np.testing.assert_allclose(own(full[None]), padded(full[None]), atol=1e-5)


def test_layers_are_averaged_or_stand_side_by_side(tiny):
    folder, model = tiny
    wave = noise(4_000)
    states = own_states(model, folder, wave)
    assert len(states) == 3 and all(np.abs(a - b).max() > 0.1 for a, b in itertools.pairwise(states))
    for layers, vectors in (
        ("mean", np.mean(states, 0)),
        ([0, 2], (states[0] + states[2]) / 2),
        ([1], states[1]),
        ("learned", np.concatenate([normed(state) for state in states], -1)),
    ):
        np.testing.assert_allclose(opened(folder, layers=layers)(wave[None])[0], vectors, atol=2e-5)


def test_layers_behind_the_chosen_one_are_not_computed(tiny):
    net, ran = opened(tiny[0], layers=1), []
    for number, layer in enumerate(net._model.layers):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    net(noise(1_000)[None])
    assert ran == [0]


@pytest.mark.parametrize(("layers", "blocks"), [(1, 1), ("mean", 1), ("learned", 3)])
def test_the_spec_is_the_folders(tiny, layers, blocks):
    what = registry.spec("hf", options(tiny[0], layers=layers))
    assert (what.modality, what.input, what.dim, what.blocks) == ("audio", WaveInput(RATE), D * blocks, blocks)
    assert "2212.04356" in what.citation


# -- times and pieces -------------------------------------------------------------------------------------------------


def test_vectors_come_every_20_ms(tiny):
    net = opened(tiny[0])
    for samples in (1, HOP, HOP + 1, 2 * RATE - 3):
        times = net.patch_times(samples)
        assert len(times) == net(noise(samples)[None]).shape[1]
        np.testing.assert_allclose(times, 0.02 * np.arange(len(times)))
        assert times[-1] * RATE <= samples - 1


def test_vectors_are_where_their_times_say(tmp_path):
    save_tiny(tmp_path, encoder_layers=0)
    net, quiet = opened(tmp_path), noise(RATE)
    loud = quiet.copy()
    loud[8_000:8_160] *= 3
    moved = np.abs(net(loud[None]) - net(quiet[None]))[0].sum(1)
    centre = (moved * net.patch_times(RATE).numpy()).sum() / moved.sum()
    assert centre == pytest.approx(0.505, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("samples", [RATE, RATE + 1, 3 * RATE + 77])
def test_a_long_clip_goes_through_in_pieces(tiny, samples, padded):
    """Each vector is that of a window which holds the vectors around it, and no piece is longer than the window."""
    folder, model = tiny
    wave, seen = noise(samples), []
    plain = opened(folder, padded=padded)
    net = HfWhisper(
        plain._model, plain._extractor, "last", padded, torch.device("cpu"), context_seconds=0.2
    )  # 10 vectors on either side of a piece's 30
    net._model.conv1.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[-1]))
    found = net(wave[None])[0]
    net._model.conv1._forward_pre_hooks.clear()
    assert len(found) == len(net.patch_times(samples)) and max(seen) <= 100
    assert (len(seen) > 1) == (samples > RATE)
    if samples > 2 * RATE:
        piece = wave[HOP * 20 : HOP * 70]  # the second piece keeps the vectors 30 to 60
        expected = (padded_states if padded else own_states)(model, folder, piece)[-1]
        np.testing.assert_allclose(found[30:60], expected[10:40], atol=1e-5)


# -- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", ["WhisperEncoder", "WhisperModel", "WhisperForConditionalGeneration"])
def test_the_encoder_is_found_in_whatever_transformers_saves(tmp_path, kind, half):
    model = save_tiny(tmp_path, kind, half)
    wave = noise(4_000)
    net = opened(tmp_path)
    assert net._model.dtype == torch.float32
    np.testing.assert_allclose(net(wave[None])[0], own_states(model, tmp_path, wave)[-1], atol=1e-5)


def change(path, **keys):
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def test_weights_that_lack_a_tensor_of_the_encoder_are_refused(tmp_path):
    save_tiny(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    key = next(name for name in state if name.endswith("encoder.layers.1.fc1.weight"))
    save_file({k: v for k, v in state.items() if k != key}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"lack layers\.1\.fc1\.weight \(1 in all\)"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"feature_size": 80}, r"makes 100 frames of 80 Mel bands, but the network reads 100 frames of 8"),
        ({"chunk_length": 30}, r"makes 3000 frames of 8 Mel bands, but the network reads 100 frames of 8"),
    ],
)
def test_a_preprocessor_of_another_network_is_refused_at_planning(tmp_path, keys, words):
    save_tiny(tmp_path)
    change(tmp_path / "preprocessor_config.json", **keys)
    with pytest.raises(WeightsError, match=words):
        registry.net_files("hf", options(tmp_path))


def test_an_old_transformers_is_refused_at_planning(tiny, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "4.57.1")
    with pytest.raises(WeightsError, match=r"Whisper needs transformers 5 or newer, but 4\.57\.1 is installed"):
        registry.net_files("hf", options(tiny[0]))


def test_options_that_do_not_fit_the_network_are_refused_at_planning(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"layers names 3, but .*tiny has 2 layers\. Use 0 to 2, last, mean or learn"):
        registry.net_files("hf", options(tiny[0], layers=[1, 3]))
    (tmp_path / "config.json").write_text('{"model_type": "hubert"}')
    with pytest.raises(ConfigError, match=r"padded is true, but .* of type hubert, .*Remove padded"):
        registry.spec("hf", options(tmp_path, padded=True))


# -- the stages -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_features_and_merged_features_hold_the_number_of_blocks(tiny, tmp_path):
    with Writer(tmp_path / "0.h5", media_rows.FIELDS, stage="decode", recipe={}) as writer:
        sound = {"audio": np.rint(32768 * noise(4_000)).astype(np.int16), "audio_start": np.array([0.25])}
        writer.add(Row("a", "d", "ok", "", sound))
    recipe = {
        "stage": "features",
        "kind": "hf",
        "options": {"layers": "learned"},
        "batch": 4,
        "precision": "float32",
        "view": "",
    }
    recipe["source"] = digest({})
    run = {"weights": str(tiny[0]), "pretrained": None, "device": "cpu", "threads": 1}
    features.run(recipe, tmp_path / "0.h5", tmp_path / "f.h5", **run)
    with Reader(tmp_path / "f.h5") as shard:
        clips = shard.attributes["clips_digest"]
        assert shard.field("a", "x").shape == (13, 3 * D) and shard.field("a", "time")[0] == 0.25
    merge.run({"stage": "merge", "features": digest(recipe)}, [tmp_path / "f.h5"], tmp_path / "m.h5", clips=clips)
    with Reader(tmp_path / "m.h5") as merged:
        assert (merged.attributes["blocks"], merged.attributes["dim"]) == (3, 3 * D)


# -- the real encoder -------------------------------------------------------------------------------------------------

SHARED = Path(os.environ.get("EMOPIPE_SHARED", "/"))
REAL = SHARED / "weights/whisper_tiny_en_encoder"


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="EMOPIPE_SHARED does not name the folder that holds weights/")
@pytest.mark.parametrize("padded", [False, True])
def test_the_real_encoder_gives_transformers_own_states(padded):
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    model = WhisperEncoder.from_pretrained(REAL, dtype=torch.float32, local_files_only=True).eval()
    time = np.arange(2 * RATE) / RATE
    wave = (0.2 * np.sin(2 * np.pi * 180 * time) * (1 + np.sin(7 * time)) + 0.02 * noise(2 * RATE)).astype(np.float32)
    expected = (padded_states if padded else own_states)(model, REAL, wave)
    assert len(expected) == 5
    for layer, state in enumerate(expected):
        found = opened(REAL, layers=layer, padded=padded)(wave[None])[0]
        assert found.shape == state.shape == (100, 384)
        np.testing.assert_allclose(found, state, atol=1e-4, rtol=0)
