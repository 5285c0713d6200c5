"""Networks from elsewhere: timm's by name, transformers' speech networks by folder or id, openSMILE's sets.

The networks are tiny ones that transformers and timm themselves make and save here; tests whose package is not
installed are skipped.
"""

import importlib.metadata
import importlib.util
import json
import os
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from emopipe.backbones import hf_audio, hf_folder, optional_packages, registry
from emopipe.backbones.base import FaceInput, WaveInput
from emopipe.backbones.nets.hf_audio import HfAudio
from emopipe.cache.store import Reader, Row, Writer
from emopipe.core.errors import ConfigError, WeightsError
from emopipe.core.fingerprint import digest
from emopipe.media import rows as media_rows
from emopipe.media.wave import read_wave
from emopipe.stages import features
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan

RATE = 16_000
REPOSITORY = Path(__file__).parents[2]


def options(kind, **keys):
    return registry.options_class(kind).model_validate(keys)


def noise(samples, seed=0, loudness=0.1):
    return loudness * np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def installed(package):
    return importlib.util.find_spec(package) is not None


needs_transformers = pytest.mark.skipif(
    not installed("transformers"), reason="transformers, of the extra hf, is not installed"
)
needs_opensmile = pytest.mark.skipif(not installed("opensmile"), reason="opensmile, an extra, is not installed")


# --- kinds with a colon


def test_text_after_the_first_colon_becomes_an_option():
    assert registry.unfolded("hf:a/b:c", {"layers": 3}) == ("hf", {"weights": "a/b:c", "layers": 3})
    assert registry.unfolded("timm:vit_tiny_patch16_224.augreg", {}) == (
        "timm",
        {"name": "vit_tiny_patch16_224.augreg"},
    )
    assert registry.unfolded("ir50", {"a": 1}) == ("ir50", {"a": 1})
    assert registry.module_name("timm:x") == "emopipe.backbones.timm_net"
    assert (registry.modality("timm:x"), registry.modality("hf:x")) == ("face", "audio")
    assert registry.trainable("timm:x") and not registry.trainable("hf:x")
    assert registry.options_class("hf:x") is hf_audio.BackboneOptions


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("resnet18:big", {}, "'resnet18:big' has a colon, but resnet18 is a single network. Write resnet18"),
        ("timm:", {}, "'timm:' has no text after its colon. Name the network there, or set name"),
        ("hf:a", {"weights": "b"}, "'hf:a' names its network, but its option weights is set too. Remove weights"),
    ],
)
def test_an_unfit_colon_is_refused(kind, given, words):
    with pytest.raises(ConfigError, match=words):
        registry.unfolded(kind, given)


def parsed(**block):
    """The backbone as a config resolves it, beside a face network that needs nothing."""
    raw = {
        "run": "x",
        "corpus": {"name": "c", "kind": "folder"},
        "corpus_root": "/data",
        "decode": {"some": {"policy": "count", "count": 4}},
        "faces": {"main": {"detector": "mtcnn"}},
        "backbones": {"net": block},
    }
    return configs.parse(raw)


def test_a_config_names_them():
    voice = parsed(kind="hf:some/folder", options={"layers": "mean"}, views=["noise"]).backbones["net"]
    assert (voice.kind, voice.options, voice.decode) == ("hf", {"weights": "some/folder", "layers": "mean"}, "some")
    face = parsed(kind="timm:resnet18", weights="r.safetensors").backbones["net"]
    assert (face.kind, face.options, face.faces) == ("timm", {"name": "resnet18"}, "main")
    assert parsed(kind="opensmile").backbones["net"].decode == "some"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"kind": "timmm:resnet18"}, r"backbones\.net\.kind is 'timmm'.*Did you mean 'timm'"),
        ({"kind": "timm", "weights": "w.pth"}, r"backbones\.net\.options\.name is missing"),
        ({"kind": "timm:hf-hub:x/y", "weights": "w.pth"}, r"options\.name is 'hf-hub:x/y' .*pattern"),
        ({"kind": "timm:resnet18"}, r"neither weights nor pretrain"),
        ({"kind": "hf:a/b", "pretrain": {}}, r"backbones\.net\.pretrain is set, but a network of kind hf cannot be"),
        ({"kind": "opensmile", "pretrain": {}}, r"network of kind opensmile cannot be trained"),
        ({"kind": "hf:a/b", "weights": "w.pth"}, r"backbones\.net\.weights is set, but a network of kind hf is"),
        ({"kind": "hf:a/b", "faces": "main"}, r"backbones\.net\.faces is set, but an audio network"),
        ({"kind": "hf:a/b", "options": {"layers": -1}}, r"options\.layers.* is -1 .*greater than or equal to 0"),
        ({"kind": "hf:a/b", "options": {"layers": "first"}}, r"options\.layers.* is 'first' .*'mean' or 'learned'"),
        ({"kind": "hf:a/b", "options": {"layers": [1, 1]}}, r"\[1, 1\] names a layer twice\. Name each one once"),
        ({"kind": "hf:a/b", "options": {"layers": []}}, r"options\.layers.*at least 1 item"),
        ({"kind": "opensmile", "options": {"features": "IS09"}}, r"features is 'IS09'.*'eGeMAPSv02' or 'ComParE_2016'"),
        ({"kind": "opensmile", "options": {"hop": 1}}, r"hop is set, but the whole clip is one segment\. Set seconds"),
        ({"kind": "opensmile", "options": {"hop": 2, "seconds": 1}}, r"hop is 2, more than seconds, 1"),
        ({"kind": "opensmile", "options": {"level": "lld", "seconds": 1}}, r"level is lld\. Remove seconds"),
    ],
)
def test_faults_of_a_config(block, words):
    with pytest.raises(ConfigError, match=words):
        parsed(**block)


@pytest.mark.parametrize(
    ("kind", "keys", "package", "install"),
    [
        ("timm", {"name": "resnet18"}, "timm", r"`pip install timm torchvision`\."),
        ("hf", {"weights": "a/b"}, "transformers", r"`pip install transformers`\."),
        ("opensmile", {}, "opensmile", r"`pip install opensmile` \(its licence is for non-commercial use and research"),
    ],
)
def test_a_missing_package_is_asked_for_when_the_run_is_planned(monkeypatch, kind, keys, package, install):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    chosen = options(kind, **keys)
    with pytest.raises(
        WeightsError, match=rf"needs the Python package {package}, which is not installed\. .*{install}"
    ):
        (registry.net_files if kind == "hf" else registry.version)(kind, chosen)
    with pytest.raises(WeightsError, match="is not installed"):
        registry.build(kind, chosen)


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_a_package_that_cannot_be_imported_says_why(monkeypatch, error):
    def broken(name):
        raise error("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    monkeypatch.setattr(optional_packages.importlib, "import_module", broken)
    with pytest.raises(
        WeightsError, match=r"timm 9\.9 is installed, but .* \(operator torchvision::nms .*\)\. Do this\."
    ):
        optional_packages.load("timm", "Do this.")
    with pytest.raises(WeightsError, match="Reinstall it with `pip install --force-reinstall timm`"):
        optional_packages.load("timm")


# --- transformers' speech networks

FAMILIES = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


def save_tiny(folder, family="wav2vec2", normalise=True, rate=RATE, **keys):
    """A network of a few thousand parameters, as transformers saves it; the network itself."""
    import transformers

    torch.manual_seed(1)
    chosen = getattr(transformers, f"{FAMILIES[family]}Config")(**{**TINY, **keys})
    model = getattr(transformers, f"{FAMILIES[family]}Model")(chosen).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) < 30_000
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise, sampling_rate=rate).save_pretrained(folder)
    return model


def opened(folder, **keys):
    return registry.build("hf", options("hf", weights=str(folder), **keys), device="cpu", threads=1)


def whole(model, wave):
    with torch.inference_mode():
        return model(torch.from_numpy(wave)[None], output_hidden_states=True)


def standard(wave):
    return (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    if not installed("transformers"):
        pytest.skip("transformers, of the extra hf, is not installed")
    folder = tmp_path_factory.mktemp("nets") / "tiny"
    save_tiny(folder)
    return folder


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_transformers_own_hidden_states(tmp_path, family, stable):
    model = save_tiny(tmp_path, family, do_stable_layer_norm=stable, feat_extract_norm="layer" if stable else "group")
    wave = noise(RATE)
    expected = whole(model, standard(wave))
    states = [state[0].numpy() for state in expected.hidden_states]
    assert len(states) == 3 and np.abs(states[0] - states[2]).max() > 1e-2
    for layer, vectors in {
        "last": expected.last_hidden_state[0].numpy(),
        "mean": np.mean(states, axis=0),
        **dict(enumerate(states)),
    }.items():
        found = opened(tmp_path, layers=layer)(wave[None])
        assert found.shape == (1, 49, 16) and found.dtype == np.float32
        np.testing.assert_allclose(found[0], vectors, atol=1e-5)


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize(("family", "paper"), [("wav2vec2", "2006.11477"), ("hubert", "2106.07447"), ("wavlm", "2110")])
def test_the_spec_is_the_folders(tmp_path, family, paper):
    save_tiny(tmp_path, family, rate=8000)
    what = registry.spec("hf", options("hf", weights=str(tmp_path)))
    assert (what.modality, what.input, what.dim) == ("audio", WaveInput(8000), 16)
    assert paper in what.citation and "Apache-2.0" in what.licence


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize("normalise", [True, False])
def test_the_preprocessors_normalisation_is_honoured(tmp_path, normalise):
    model = save_tiny(tmp_path, normalise=normalise, feat_extract_norm="layer")
    wave = noise(RATE) + 0.2
    expected = whole(model, standard(wave) if normalise else wave).last_hidden_state[0].numpy()
    np.testing.assert_allclose(opened(tmp_path)(wave[None])[0], expected, atol=1e-5)
    other = whole(model, wave if normalise else standard(wave)).last_hidden_state[0].numpy()
    assert np.abs(expected - other).max() > 1e-3


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize(
    ("kernels", "strides"),
    [((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)), ((8, 4, 2, 2, 2, 2, 2), (4, 2, 1, 1, 1, 1, 1))],
)
def test_times_follow_from_the_convolutions(tmp_path, kernels, strides):
    save_tiny(tmp_path, conv_kernel=kernels, conv_stride=strides)
    net = opened(tmp_path)
    hop, reach = int(np.prod(strides)), 1 + sum((k - 1) * int(np.prod(strides[:i])) for i, k in enumerate(kernels))
    for samples in (1, reach - 1, reach, reach + hop - 1, reach + hop, 5 * hop + reach, RATE):
        vectors, times = net(noise(samples)[None]), net.patch_times(samples)
        assert len(times) == vectors.shape[1] == 1 + max(0, samples - reach) // hop
        assert np.isfinite(vectors).all() and (times * RATE <= samples - 1).all()
        middle = (np.arange(len(times)) * hop + (reach - 1) / 2).clip(max=samples - 1)
        np.testing.assert_allclose(times, middle / RATE)


@pytest.mark.slow
@needs_transformers
def test_published_networks_give_a_vector_every_20_ms(tiny):
    times = opened(tiny).patch_times(3 * RATE)
    assert len(times) == 149
    np.testing.assert_allclose(times[:2], [0.01246875, 0.03246875])


@pytest.mark.slow
@needs_transformers
def test_vectors_are_where_their_times_say(tmp_path):
    save_tiny(tmp_path, num_hidden_layers=0, feat_extract_norm="layer", normalise=False)
    net, quiet = opened(tmp_path), noise(2 * RATE)
    loud = quiet.copy()
    loud[RATE : RATE + 400] *= 5
    moved = np.abs(net(loud[None]) - net(quiet[None]))[0].sum(1)
    centre = (moved * net.patch_times(2 * RATE).numpy()).sum() / moved.sum()
    assert centre == pytest.approx(1.0125, abs=0.02)


def pieces(folder, **keys):
    """A network that takes 2 s at once, less 0.5 s on either side of a cut; and the lengths that it was given."""
    net, seen = opened(folder, **keys), []
    net._model.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[-1]))
    settings = {"chunk_seconds": 2.0, "context_seconds": 0.5}
    return HfAudio(net._model, net._extractor, net._layers, torch.device("cpu"), **settings), seen


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize("samples", [2 * RATE, 2 * RATE + 400, 3 * RATE, 10 * RATE, 10 * RATE + 321])
def test_a_long_clip_goes_through_in_pieces(tmp_path, samples):
    """Without attention nothing is read beyond a piece's context, so that the cuts are to leave no trace."""
    save_tiny(tmp_path, num_hidden_layers=0, feat_extract_norm="layer")
    wave = noise(samples)
    expected = opened(tmp_path)(wave[None])
    net, seen = pieces(tmp_path)
    found = net(wave[None])
    assert found.shape == expected.shape == (1, len(net.patch_times(samples)), 16)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert max(seen) <= 2 * RATE + 400
    assert (len(seen) > 1) == (expected.shape[1] > 100)


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", ["last", "mean", 1])
def test_attention_hardly_tells_a_piece_from_the_whole(tmp_path, family, layer):
    save_tiny(tmp_path, family, feat_extract_norm="layer")
    wave = noise(8 * RATE)
    expected = opened(tmp_path, layers=layer)(wave[None])[0]
    found = pieces(tmp_path, layers=layer)[0](wave[None])[0]
    cosine = (expected * found).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    assert cosine.min() > 0.999


@pytest.mark.slow
@needs_transformers
def test_half_a_minute_goes_through_whole(tiny):
    net, seen = opened(tiny), []
    net._model.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[-1]))
    net(noise(30 * RATE)[None])
    net(noise(31 * RATE)[None])
    assert len(seen) == 3 and max(seen) <= 30 * RATE + 80


@needs_transformers
def test_weights_of_a_finetuned_network_load_without_its_head(tmp_path):
    import transformers

    model = save_tiny(tmp_path)
    tuned = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**TINY, vocab_size=5)).eval()
    tuned.wav2vec2.load_state_dict(model.state_dict())
    tuned.save_pretrained(tmp_path)
    assert any(key.startswith("lm_head.") for key in load_file(tmp_path / "model.safetensors"))
    wave = noise(RATE)
    expected = whole(model, standard(wave)).last_hidden_state[0].numpy()
    np.testing.assert_allclose(opened(tmp_path)(wave[None])[0], expected, atol=1e-5)


@needs_transformers
def test_weights_in_several_files_are_read_and_counted(tmp_path):
    model = save_tiny(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    names = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(names) > 1
    (tmp_path / "stray.safetensors").write_bytes(b"of no concern")
    files = registry.net_files("hf", options("hf", weights=str(tmp_path)))
    expected = ["config.json", "preprocessor_config.json", "model.safetensors.index.json", *names]
    assert [path.name for path in files] == expected
    wave = noise(RATE)
    expected = whole(model, standard(wave)).last_hidden_state[0].numpy()
    np.testing.assert_allclose(opened(tmp_path)(wave[None])[0], expected, atol=1e-5)
    (tmp_path / names[1]).unlink()
    with pytest.raises(WeightsError, match=rf"index\.json names {names[1]}, which is not in that folder"):
        opened(tmp_path)


@needs_transformers
@pytest.mark.parametrize("place", ["../other.safetensors", "{absolute}"])
def test_weights_outside_the_folder_are_refused(tmp_path, place):
    folder, other = tmp_path / "net", tmp_path / "other.safetensors"
    save_tiny(folder)
    (folder / "model.safetensors").rename(other)
    index = {"weight_map": {"masked_spec_embed": place.format(absolute=other)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=r"index\.json names .*other\.safetensors, which is not in that folder"):
        opened(folder)


def lookup(source):
    return registry.net_files("hf", options("hf", weights=str(source)))


@needs_transformers
def test_a_missing_network_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        WeightsError, match=r"acme/tiny is neither a folder nor .* Run `hf download acme/tiny` once, or"
    ):
        lookup("acme/tiny")
    with pytest.raises(WeightsError, match=r"/none/such/folder is neither a folder nor .*cache\. Name a folder"):
        lookup("/none/such/folder")


@needs_transformers
def test_an_id_is_found_in_the_local_cache_alone(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    repository = tmp_path / "models--acme--tiny"
    model = save_tiny(repository / "snapshots" / "0f1e2d")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0f1e2d")
    assert [path.parent.name for path in lookup("acme/tiny")] == ["0f1e2d"] * 3
    wave = noise(RATE)
    expected = whole(model, standard(wave)).last_hidden_state[0].numpy()
    np.testing.assert_allclose(opened("acme/tiny")(wave[None])[0], expected, atol=1e-5)


class Malice:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@needs_transformers
def test_a_pickle_is_not_opened(tmp_path):
    save_tiny(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"masked_spec_embed": Malice(tmp_path / "harm")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(
        WeightsError, match=r"no model\.safetensors\. .* can run any code\. .*save_pretrained\('FOLDER'\)"
    ):
        opened(tmp_path)
    assert not (tmp_path / "harm").exists()


@needs_transformers
def test_the_folders_code_is_not_run(tmp_path):
    save_tiny(tmp_path)
    (tmp_path / "own.py").write_text(f"import os; os.mkdir({str(tmp_path / 'harm')!r})")
    change(tmp_path / "config.json", auto_map={"AutoModel": "own.Model", "AutoConfig": "own.Config"})
    assert opened(tmp_path)(noise(RATE)[None]).shape == (1, 49, 16)
    assert not (tmp_path / "harm").exists()


def change(path, **keys):
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@needs_transformers
@pytest.mark.parametrize(
    ("file", "keys", "words"),
    [
        ("config.json", {"model_type": "bert"}, r"network of type bert\. Use one of wav2vec2, hubert, wavlm, whisper"),
        ("config.json", {"add_adapter": True}, r"network of type wav2vec2 with an adapter\. Use"),
        ("config.json", {"conv_stride": []}, r"config\.json is invalid \(conv_stride: .*at least 1 item"),
        (
            "preprocessor_config.json",
            {"sampling_rate": 0},
            r"invalid \(sampling_rate: .*greater than 0\)\. Download it again",
        ),
        ("preprocessor_config.json", None, r"has no preprocessor_config\.json\. Download the network's whole folder"),
        ("config.json", None, r"has no config\.json\. Download"),
    ],
)
def test_an_unfit_folder_is_refused_when_the_run_is_planned(tmp_path, file, keys, words):
    save_tiny(tmp_path)
    (tmp_path / file).unlink() if keys is None else change(tmp_path / file, **keys)
    with pytest.raises(WeightsError, match=words):
        lookup(tmp_path)


@needs_transformers
def test_a_layer_that_is_not_there_is_refused(tiny):
    with pytest.raises(
        ConfigError, match=r"layers names 3, but .*tiny has 2 layers\. Use 0 to 2, last, mean or learned"
    ):
        registry.net_files("hf", options("hf", weights=str(tiny), layers=3))


@needs_transformers
def test_weights_that_lack_a_tensor_are_refused(tmp_path):
    """transformers would draw it at random, with a warning."""
    save_tiny(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    key = "encoder.layers.1.attention.q_proj.weight"
    save_file({k: v for k, v in state.items() if k != key}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=rf"lack {key} \(1 in all\)"):
        opened(tmp_path)
    save_file({k: v for k, v in state.items() if k != "masked_spec_embed"}, tmp_path / "model.safetensors")
    assert opened(tmp_path)(noise(RATE)[None]).shape == (1, 49, 16)  # which only training reads


@needs_transformers
def test_weights_of_another_shape_or_cut_short_are_refused(tmp_path):
    save_tiny(tmp_path)
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    change(tmp_path / "config.json", intermediate_size=32)
    with pytest.raises(WeightsError, match="transformers cannot load"):
        opened(tmp_path)
    change(tmp_path / "config.json", intermediate_size=24)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=r"transformers cannot load .*Download the folder again"):
        opened(tmp_path)


def test_a_torchvision_that_does_not_fit_is_told(tmp_path):
    class Auto:
        @staticmethod
        def from_pretrained(*_, **__):
            raise ImportError("No model") from RuntimeError("operator torchvision::nms does not exist")

    with pytest.raises(
        WeightsError, match=r"because a package is missing \(operator torchvision::nms .*torchvision, remove it, or"
    ):
        hf_folder.load_model(Auto, tmp_path)


@needs_transformers
def test_half_precision_is_read_as_float32(tmp_path):
    model = save_tiny(tmp_path)
    model.half().save_pretrained(tmp_path)
    assert load_file(tmp_path / "model.safetensors")["masked_spec_embed"].dtype == torch.float16
    assert opened(tmp_path)._model.dtype == torch.float32


# --- from a clip's sound to features, and into the recipe


def write_media(path, waves):
    with Writer(path, media_rows.FIELDS, stage="decode", recipe={}) as writer:
        for clip, wave in waves.items():
            status = ("ok", "") if len(wave) else ("no_audio", "it has no sound")
            sound = {"audio": np.rint(32768 * wave).astype(np.int16), "audio_start": np.array([0.25])}
            writer.add(Row(clip, f"d{clip}", *status, sound if len(wave) else {}))


def extract(folder, kind, chosen, weights, view=""):
    write_media(folder / "0.h5", {"long": noise(2 * RATE), "mute": noise(0), "short": noise(700, 1)})
    recipe = {
        "stage": "features",
        "kind": kind,
        "options": chosen,
        "batch": 4,
        "precision": "float32",
        "view": view,
        "source": digest({}),
    }
    run = {"weights": weights, "pretrained": None, "device": "cpu", "threads": 1}
    features.run(recipe, folder / "0.h5", folder / "f.h5", **run)
    return Reader(folder / "f.h5")


@pytest.mark.slow
@needs_transformers
@pytest.mark.parametrize(("rate", "view"), [(RATE, ""), (8000, ""), (RATE, "fast")])
def test_a_wave_network_extracts_clips(tmp_path, rate, view):
    model = save_tiny(tmp_path / "net", rate=rate, normalise=False)
    with extract(tmp_path, "hf", {"layers": "last"}, str(tmp_path / "net"), view) as found:
        assert found.attributes["device"] == "cpu" and found.attributes["input"] == f"WaveInput(rate={rate})"
        assert found.status == {"long": "ok", "mute": "no_audio", "short": "ok"}
        times = {clip: found.field(clip, "time") for clip in found.clips}
        long = found["long"].arrays
    speed = 1.1 if view else 1.0
    assert len(long["x"]) == (int(2 * rate / speed) - 400) // 320 + 1 == len(long["mask"]) and long["mask"].all()
    np.testing.assert_allclose(np.diff(times["long"]), speed * 320 / rate)
    assert times["long"][0] == pytest.approx(0.25 + speed * 199.5 / rate)
    assert len(times["mute"]) == 0 and times["short"][0] >= 0.25 and len(times["short"]) == 1
    if rate == RATE and not view:
        with Reader(tmp_path / "0.h5") as media:
            expected = whole(model, read_wave(media, "long")).last_hidden_state[0].numpy()
        np.testing.assert_allclose(long["x"], expected, atol=1e-5)


def planned(**block):
    table = pd.DataFrame({name: ["a"] for name in ("clip", "path", "split", "label", "subject", "digest")})
    return Plan(parsed(**block), table, REPOSITORY / "workflow_scripts").features("net")


@pytest.mark.slow
@needs_transformers
def test_the_recipe_holds_what_the_network_consists_of_and_not_where_it_lies(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    save_tiny(here)
    recipe = planned(kind=f"hf:{here}", options={"layers": 1})
    assert recipe["kind"] == "hf" and recipe["options"] == {"layers": 1, "padded": False}
    assert len(recipe["weights"]) == 3
    here.rename(there)
    assert planned(kind=f"hf:{there}", options={"layers": 1}) == recipe
    assert planned(kind=f"hf:{there}", options={"layers": 2}) != recipe
    change(there / "preprocessor_config.json", do_normalize=False)
    assert planned(kind=f"hf:{there}", options={"layers": 1})["weights"] != recipe["weights"]


@pytest.mark.slow
def test_opensmiles_version_is_in_the_recipe(monkeypatch):
    recipes = []
    for number in ("2.6.0", "2.7.0"):
        monkeypatch.setattr(importlib.metadata, "version", lambda name, number=number: number)
        recipes.append(planned(kind="opensmile"))
    assert [recipe["libraries"]["opensmile"] for recipe in recipes] == ["2.6", "2.7"]
    assert recipes[0]["weights"] == [] and "opensmile" not in planned(kind="audio_alexnet", pretrain={})["libraries"]


# --- openSMILE


def voice(seconds=3.0):
    """A tone of 200 Hz that swells and fades, with some noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * 200 * time) * (0.3 + 0.2 * np.sin(2 * np.pi * time))
    return tone.astype(np.float32) + noise(len(time), loudness=0.01)


def smile(**keys):
    return registry.build("opensmile", options("opensmile", **keys), device="cuda", threads=2)


@needs_opensmile
@pytest.mark.parametrize(("name", "count"), [("eGeMAPSv02", 88), ("ComParE_2016", 6373)])
def test_functionals_are_opensmiles(name, count):
    import opensmile

    wave, net = voice(), smile(features=name)
    found = net(wave[None])
    expected = opensmile.Smile(feature_set=opensmile.FeatureSet[name]).process_signal(wave, RATE).to_numpy()
    assert found.shape == (1, 1, count) and found.dtype == np.float32 and net.device == "cpu"
    np.testing.assert_array_equal(found[0], expected)
    assert net.patch_times(len(wave)).tolist() == [1.5]
    what = registry.spec("opensmile", options("opensmile", features=name))
    assert (what.dim, what.input) == (count, WaveInput(RATE)) and "non-commercial" in what.licence


@needs_opensmile
@pytest.mark.parametrize(("name", "count"), [("eGeMAPSv02", 25), ("ComParE_2016", 65)])
def test_descriptors_come_every_10_ms(name, count):
    net = smile(features=name, level="lld")
    for samples in (1, 959, 960, 1119, 1120, 5000, 3 * RATE):
        found, times = net(voice()[None, :samples]), net.patch_times(samples)
        assert found.shape == (1, len(times), count) and np.isfinite(found).all()
        assert (times.diff() >= 0).all() and times[-1] * RATE <= samples - 1
    np.testing.assert_allclose(times[[0, 1, -1]], [0.02, 0.03, 2.97])


@needs_opensmile
@pytest.mark.parametrize(("name", "loudness"), [("eGeMAPSv02", "Loudness_sma3"), ("ComParE_2016", "pcm_RMSenergy_sma")])
def test_descriptors_are_where_their_times_say(name, loudness):
    wave = noise(3 * RATE, loudness=1e-4)
    wave[24_000:25_600] += 0.5 * np.sin(2 * np.pi * 220 * np.arange(1600) / RATE).astype(np.float32)
    net = smile(features=name, level="lld")
    seen = net(wave[None])[0, :, net._smile.feature_names.index(loudness)]
    weight = np.where(seen > seen.max() / 2, seen, 0)
    assert (weight * net.patch_times(len(wave)).numpy()).sum() / weight.sum() == pytest.approx(1.55, abs=0.02)


@needs_opensmile
@pytest.mark.parametrize(
    ("keys", "samples", "starts"),
    [
        ({"seconds": 1, "hop": 0.5}, 48_000, [0, 8000, 16_000, 24_000, 32_000]),
        ({"seconds": 1}, 48_000, [0, 16_000, 32_000]),
        ({"seconds": 1}, 40_000, [0, 16_000, 24_000]),  # the last ends with the clip
        ({"seconds": 1}, 9_000, [0]),
    ],
)
def test_functionals_over_stretches(keys, samples, starts):
    wave, net, plain = voice()[:samples], smile(**keys), smile()
    found, times = net(wave[None])[0], net.patch_times(samples)
    length = min(samples, RATE)
    np.testing.assert_allclose(times, (np.array(starts) + length / 2) / RATE)
    expected = np.concatenate([plain(wave[None, start : start + length])[0] for start in starts])
    np.testing.assert_array_equal(found, expected)


@needs_opensmile
def test_what_is_too_short_or_too_loud_is_sound_all_the_same():
    net = smile()
    assert np.isfinite(net(voice()[None, :100])).all()
    loud = np.clip(4 * voice(), -1, 32767 / 32768)
    np.testing.assert_array_equal(net(4 * voice()[None]), net(loud[None]))  # not wrapped to the opposite sign


@needs_opensmile
def test_opensmile_extracts_clips(tmp_path):
    with extract(tmp_path, "opensmile", {}, None) as found:
        assert found.field("long", "x").shape == found.field("short", "x").shape == (1, 88)
        assert found.field("long", "time").tolist() == [1.25] and len(found.field("mute", "x")) == 0
        assert "non-commercial" in found.attributes["licence"] and found.attributes["device"] == "cpu"


# --- timm


@pytest.fixture(scope="module")
def timm():
    """timm, which imports torchvision.

    A torchvision built for CUDA leaves its compiled operators out beside a torch for the CPU, and then cannot be
    imported for want of their names. timm uses none of them, so their names alone are declared here.
    """
    if not installed("timm") or not installed("torchvision"):
        pytest.skip("timm and torchvision, of the extra timm, are not installed")
    declared = torch.library.Library("torchvision", "FRAGMENT")
    try:
        import torchvision
    except RuntimeError:
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    assert torchvision.__version__
    import timm

    yield timm  # not returned: the names are there for as long as `declared` is


def test_timms_networks_are_found_with_their_input(timm):
    what = registry.spec("timm", options("timm", name="resnet18.a1_in1k"))
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    assert (what.modality, what.dim, what.head) == ("face", 512, ("fc.bias", "fc.weight"))
    assert (what.input.crop_units, what.input.size, what.input.colour) == (145.6, 224, "rgb")
    np.testing.assert_allclose((what.input.mean, what.input.std), (mean, std), rtol=1e-6)
    assert what.licence.endswith("apache-2.0") or "weights: " in what.licence
    keys = {"size": 96, "crop_units": 112, "mean": [1, 2, 3], "std": [4, 5, 6]}
    assert registry.spec("timm", options("timm", name="resnet18", **keys)).input == FaceInput(
        112.0, 96, "rgb", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)
    )
    assert registry.version("timm", options("timm", name="resnet18")) == f"timm {timm.__version__}"


@pytest.mark.parametrize(
    ("name", "dim"),
    [
        ("resnet18", 512),
        ("mobilenetv3_small_050", 1024),
        ("convnext_atto", 320),
        ("deit_tiny_distilled_patch16_224", 192),
    ],
)
def test_timms_weights_load_less_their_classifier(timm, tmp_path, name, dim):
    torch.manual_seed(1)
    whole_network = timm.create_model(name, pretrained=False, num_classes=7).eval()
    save_file(whole_network.state_dict(), tmp_path / "net.safetensors")
    chosen = options("timm", name=name)
    net = registry.build("timm", chosen).eval()
    registry.load("timm", chosen, net, tmp_path / "net.safetensors")
    faces = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        found = net(faces)
        expected = whole_network.forward_head(whole_network.forward_features(faces), pre_logits=True)
    assert found.shape == (2, dim) and registry.spec("timm", chosen).dim == dim
    assert torch.allclose(found, expected, atol=1e-5)


def test_timms_resnet18_is_ours(timm, tmp_path):
    torch.manual_seed(1)
    torch.save(timm.create_model("resnet18", pretrained=False).eval().state_dict(), tmp_path / "net.pth")
    vectors = []
    for kind, keys in (("timm", {"name": "resnet18"}), ("resnet18", {})):
        net = registry.build(kind, options(kind, **keys)).eval()
        registry.load(kind, options(kind, **keys), net, tmp_path / "net.pth")
        with torch.inference_mode():
            vectors.append(net(torch.ones(1, 3, 224, 224)))
    assert torch.allclose(*vectors, atol=1e-5)


def test_timms_seed_makes_the_weights(timm):
    states = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        registry.spec("timm", options("timm", name="resnet18"))
        states.append(registry.build("timm", options("timm", name="resnet18")).conv1.weight)
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_timms_faults_are_told(timm, tmp_path):
    for name, near in (("resnet81", r"resnet\d+\w*"), ("resnet18.a1_in2k", r"resnet18\.a1_in1k")):
        with pytest.raises(ConfigError, match=rf"has no network '{name}'\. .* Did you mean '{near}'"):
            registry.build("timm", options("timm", name=name))
    with pytest.raises(ConfigError, match=r"vit_tiny_patch16_224 takes only images of 224 pixels a side, but size is"):
        registry.spec("timm", options("timm", name="vit_tiny_patch16_224", size=112))
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "net.pth")
    chosen = options("timm", name="resnet18")
    with pytest.raises(WeightsError, match=r"conv1\.weight is missing"):
        registry.load("timm", chosen, registry.build("timm", chosen), tmp_path / "net.pth")
