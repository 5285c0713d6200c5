"""The first blocks of Whisper: the published encoder's numbers, its input, and clips of any length and level."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from emopipe.backbones import registry, speech_whisper
from emopipe.backbones.nets.speech_whisper import STRIDE, WIDTH
from emopipe.core.errors import WeightsError
from emopipe.media.spectrogram import compute_spectrogram

torch.set_num_threads(1)
RATE = 16_000


def options(**keys):
    return registry.options_class("speech_whisper").model_validate(keys)


def network(blocks=1, **keys):
    torch.manual_seed(0)
    return registry.build("speech_whisper", options(blocks=blocks, **keys)).eval()


def voice(seconds, level=0.1):
    """Sound with a melody and pauses, (samples,) float32."""
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(200 + 60 * np.sin(3 * t)) / RATE
    sound = sum(np.sin(k * pitch) / k for k in range(1, 12)) * (np.sin(5 * t) > -0.3)
    return (level * sound).astype(np.float32)


def spectrum(wave):
    return torch.from_numpy(compute_spectrogram(wave, speech_whisper.SPECTRUM))[None]


@pytest.fixture(scope="module")
def whisper():
    """An encoder of Whisper tiny's shape with random weights, made by transformers."""
    transformers = pytest.importorskip("transformers", reason="transformers, of the extra hf, is not installed")
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    shape = {"d_model": 384, "encoder_layers": 2, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536}
    torch.manual_seed(1)
    return WhisperEncoder(transformers.WhisperConfig(**shape, num_mel_bins=80)).eval()


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "encoder.", "model.encoder."])
def test_a_published_encoder_gives_its_states(whisper, tmp_path, prefix):
    """Blocks that are not read, the positions, the last norm and a decoder are not missed."""
    state = {prefix + key: value.contiguous() for key, value in whisper.state_dict().items()}
    if prefix:
        state[f"{prefix.replace('encoder', 'decoder')}layers.0.fc1.weight"] = torch.zeros(2, 2)
    save_file(state, tmp_path / "model.safetensors")
    ours = network(blocks=1)
    registry.load("speech_whisper", options(blocks=1), ours, tmp_path / "model.safetensors")
    mel = torch.rand(1, 80, 3000)
    with torch.inference_mode():
        theirs = whisper(mel, output_hidden_states=True).hidden_states[1]
        torch.testing.assert_close(ours.encode(mel), theirs, rtol=1e-3, atol=1e-4)
    own = {key: value.clone() for key, value in ours.state_dict().items()}
    save_file(own, tmp_path / "own.safetensors")
    again = network(blocks=1)
    registry.load("speech_whisper", options(blocks=1), again, tmp_path / "own.safetensors")
    assert all(torch.equal(value, own[key]) for key, value in again.state_dict().items())


def test_weights_of_another_network_are_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"conv1\.weight has the shape \(2, 2\) instead of \(384, 80, 3\)"):
        registry.load("speech_whisper", options(), network(blocks=3), tmp_path / "model.safetensors")


@pytest.mark.slow
def test_the_input_is_whispers_but_for_its_level():
    """Near its loudest cells, the spectrogram in Whisper's scale differs from transformers' by a constant."""
    transformers = pytest.importorskip("transformers", reason="transformers, of the extra hf, is not installed")
    wave = voice(2.0)
    theirs = transformers.WhisperFeatureExtractor()(wave, sampling_rate=RATE, padding=False, return_tensors="np")
    theirs = theirs.input_features[0]  # (80, T)
    seen = []
    net = network()
    net.encode = lambda mel: seen.append(mel) or torch.zeros(1, -(-mel.shape[-1] // 2), WIDTH)
    net(spectrum(wave))
    ours = seen[0][0, :, : theirs.shape[1]].numpy()
    loud = theirs > theirs.max() - 0.5  # of quarters of decades: 20 dB
    difference = (ours - theirs)[loud]
    assert loud.sum() > 500 and difference.std() < 0.05


def test_the_level_does_not_matter_and_every_vector_has_its_time():
    net = network()
    with torch.inference_mode():
        loud, soft = (net(spectrum(voice(1.3, level))) for level in (0.2, 0.01))
    torch.testing.assert_close(loud, soft, rtol=1e-3, atol=1e-4)
    frames = spectrum(voice(1.3)).shape[-1]
    times = net.patch_times(frames)
    assert loud.shape == (1, len(times), 256) and len(times) == -(-frames // STRIDE)
    assert times[0] == pytest.approx(0.07) and torch.allclose(times.diff(), torch.tensor(0.16).double())


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 33])
def test_a_clip_of_any_length_has_vectors(frames):
    with torch.inference_mode():
        assert network()(torch.rand(2, 3, 80, frames)).shape == (2, -(-frames // STRIDE), 256)


@pytest.mark.slow
def test_a_long_clip_is_read_in_pieces():
    """A clip of 40 s: the first piece's vectors are those of its 28 s alone, but for the last 2 s of it."""
    net = network(dim=8)
    whole = spectrum(np.tile(voice(4.0), 10))
    with torch.inference_mode():
        long, first = net(whole), net(whole[..., : 175 * STRIDE])
    assert long.shape[1] == len(net.patch_times(whole.shape[-1]))
    assert torch.equal(long[:, :163], first[:, :163]) and not torch.equal(long[:, 170], first[:, 170])
