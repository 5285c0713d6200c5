"""Configs and recipes with the old names of all renamed training keys are read as those with the new names."""

import pytest
import yaml

from emopipe.backbones import registry
from emopipe.commands.pretrain import WeightsRecipe
from emopipe.core.errors import ConfigError
from emopipe.core.fingerprint import digest
from emopipe.core.log import LOGGER
from emopipe.core.validation import checked
from emopipe.training.augment_options import FaceAugmentation, SoundAugmentation
from emopipe.training.phase_options import SpeechPhase, StillsPhase
from emopipe.workflow import config as configs
from emopipe.workflow.training_recipe import phase_recipe

OLD = """
run: x
corpus: {name: c, kind: folder}
corpus_root: /data
decode: {few: {policy: count, count: 2}}
faces: {main: {detector: mtcnn}}
sources:
  a: {kind: folder, path: stills}
  v: {kind: ravdess, path: voices, options: {modality: audio}}
backbones:
  face:
    kind: expression
    chain:
      - {sources: [a], epochs: 2, augment: {turn: 5, zoom: 0.2, shift: 0.05, colour: 0.1}}
      - {sources: [a], taught: 0.5, teacher: start, fresh: true, seed: 3}
  voice:
    kind: audio_alexnet
    options: {spectrum: {kind: logmel}}
    chain: [{sources: [v], taught: 0.3, teacher: average, augment: {bands: 1, moments: 3}}]
models: {fused_two: {streams: [face, voice], fusion: concat}}
"""
NEW = """
run: x
corpus: {name: c, kind: folder}
corpus_root: /data
decode: {few: {policy: count, count: 2}}
faces: {main: {detector: mtcnn}}
sources:
  a: {kind: folder, path: stills}
  v: {kind: ravdess, path: voices, options: {modality: audio}}
backbones:
  face:
    kind: expression
    schedule:
      - {sources: [a], epochs: 2, augment: {rotation: 5, scale: 0.2, translate: 0.05, saturation: 0.1}}
      - {sources: [a], distill_weight: 0.5, teacher: start, from_scratch: true, seed: 3}
  voice:
    kind: audio_alexnet
    options: {spectrum: {kind: logmel}}
    schedule: [{sources: [v], distill_weight: 0.3, teacher: average, augment: {freq_masks: 1, time_masks: 3}}]
models: {fused_two: {streams: [face, voice], fusion: concat}}
"""
RENAMED = {
    "backbones.face.chain": "schedule",
    "backbones.face.schedule.0.augment.turn": "rotation",
    "backbones.face.schedule.0.augment.zoom": "scale",
    "backbones.face.schedule.0.augment.shift": "translate",
    "backbones.face.schedule.0.augment.colour": "saturation",
    "backbones.face.schedule.1.taught": "distill_weight",
    "backbones.face.schedule.1.fresh": "from_scratch",
    "backbones.voice.chain": "schedule",
    "backbones.voice.schedule.0.taught": "distill_weight",
    "backbones.voice.schedule.0.augment.bands": "freq_masks",
    "backbones.voice.schedule.0.augment.moments": "time_masks",
}


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(LOGGER, "warning", said.append)
    return said


def sentences(renamed):
    return [
        f"{old} is now called {new}. The old name works in this release only. Rename the key."
        for old, new in renamed.items()
    ]


def test_the_old_config_has_every_renamed_key():
    for options in (configs.BackboneBlock, StillsPhase, SpeechPhase, FaceAugmentation, SoundAugmentation):
        assert options.renamed
        for old, new in options.renamed.items():
            assert new in options.model_fields
            assert any(key.endswith(f".{old}") and RENAMED[key] == new for key in RENAMED), old
    assert WeightsRecipe.renamed == {"chain": "schedule"} and "schedule" in WeightsRecipe.model_fields


def test_an_old_config_is_read_as_the_new_one_and_every_old_key_is_reported(warnings):
    old = configs.parse(yaml.safe_load(OLD))
    assert sorted(warnings) == sorted(sentences(RENAMED))  # each key once
    warnings.clear()
    assert old == configs.parse(yaml.safe_load(NEW)) and not warnings
    assert old.backbones["face"].schedule[0]["augment"] == {
        "rotation": 5.0,
        "scale": 0.2,
        "translate": 0.05,
        "saturation": 0.1,
    }


def test_the_old_name_of_layers_is_read(warnings):
    old, new = ({"kind": "hf:a/b", "options": {key: 3}} for key in ("layer", "layers"))
    renamed = registry.resolve("backbones.x", **old)
    assert warnings == sentences({"backbones.x.options.layer": "layers"})
    assert renamed == registry.resolve("backbones.x", **new)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["face", "voice"])
def test_an_old_recipe_of_weights_makes_the_same_weights(warnings, tmp_path, name):
    for folder in ("stills", "voices"):
        (tmp_path / folder).mkdir()

    def digests(text):
        block = yaml.safe_load(text)
        wanted = checked(WeightsRecipe, {**block["backbones"][name], "sources": block["sources"]})
        options = registry.options_class(wanted.kind).model_validate(wanted.options)
        keys = {"start": "", "half": False, "root": tmp_path}
        return [
            digest(phase_recipe(wanted.kind, options, phase, wanted.sources, where=f"schedule.{number}", **keys))
            for number, phase in enumerate(wanted.schedule)
        ]

    old = digests(OLD)
    prefix = f"backbones.{name}."
    wanted = {key.removeprefix(prefix): new for key, new in RENAMED.items() if key.startswith(prefix)}
    assert sorted(warnings) == sorted(sentences(wanted))
    warnings.clear()
    assert old == digests(NEW) and not warnings


def test_both_names_of_one_key_are_refused():
    block = yaml.safe_load(NEW)
    block["backbones"]["face"]["chain"] = []
    with pytest.raises(ConfigError, match=r"backbones\.face\.chain is the old name of schedule, and both are set"):
        configs.parse(block)
