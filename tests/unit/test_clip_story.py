"""What is gathered of the clips of a finished run: from its results, and from a cache that may hold less than that."""

import numpy as np
import pytest

from emopipe.cache import pictures
from emopipe.core import tables
from emopipe.core.errors import CacheError, CorpusError
from emopipe.fusion import attention_weights
from emopipe.report.clip import gathering
from emopipe.report.clip.gathering import clips_of, gather
from emopipe.workflow import clip_sources
from tests import handmade_run


@pytest.fixture
def results(tmp_path):
    return handmade_run.make(tmp_path)


@pytest.fixture
def sources(results):
    return clip_sources.of_folder(results)


def test_all_of_one_clip(sources):
    story = gather(["good"], sources)["good"]
    assert (story.label, story.split, story.row["path"], story.row["subject"]) == ("Angry", "val", "good.mp4", "s1")
    assert [(one.stage, one.status, one.reason) for one in story.stages] == [
        ("decode", "ok", ""),
        ("faces", "ok", ""),
        ("features/expression", "ok", ""),
        ("features/logmel", "ok", ""),
    ]
    media, track = story.media["sparse"], story.faces["main"]
    assert len(media.frames) == 6 and media.sound_seconds == media.end == story.end == 1.5
    assert (track.found, len(track.crops), track.tracks) == (5, 5, 2)
    np.testing.assert_array_equal(track.found_time, [0, 0.25, 0.75, 1, 1.25])
    assert np.isnan(track.box[2]).all() and track.box[0].tolist() == [50, 30, 110, 90]
    assert story.notes == [] and story.shown_faces == ("main", track) and story.shown_sound == ("sparse", media)


def test_the_answer_is_first_and_models_follow_by_the_probability_of_the_label(sources):
    votes = gather(["good"], sources)["good"].votes
    assert [(vote.model, vote.pred, vote.p("Angry")) for vote in votes] == [
        ("ensemble", "Angry", 0.4),
        ("face_a", "Angry", 0.4),
        ("fused_b", "Sad", 0.1),
    ]
    assert [vote.is_correct("Angry") for vote in votes] == [True, True, False] and votes[0].is_correct("") is None
    assert {seed: p.tolist() for seed, p in votes[2].seeds.items()} == {
        seed: votes[2].values.tolist() for seed in ("0", "1")
    }
    assert not any(vote.out_of_fold for vote in votes)


def test_attention_names_its_modality_its_preset_and_its_peak(sources):
    story = gather(["good"], sources)["good"]
    found = [(one.model, one.stream, one.modality, one.preset) for one in story.attention]
    assert found == [
        ("face_a", "expression", "face", "main"),
        ("fused_b", "expression", "face", "main"),
        ("fused_b", "logmel", "audio", "sparse"),
    ]
    assert story.attention[0].peak == pytest.approx((1.0, 0.5, 2.5))
    assert [one.model for one in story.attention_of("face", "main")] == ["face_a", "fused_b"]
    assert story.attention_of("face", "other") == []


def test_a_training_clip_has_out_of_fold_predictions_alone(sources):
    story = gather(["trained"], sources)["trained"]
    assert {(vote.out_of_fold, vote.fold, len(vote.seeds)) for vote in story.votes} == {(True, "2", 0)}
    assert story.attention == [] and len(story.votes) == 3


def test_a_clip_that_failed_has_its_reason_and_the_votes_without_it(sources):
    story = gather(["empty"], sources)["empty"]
    assert {(one.status, one.reason) for one in story.stages} == {("undecodable", "The file is empty (0 bytes).")}
    assert [vote.covered for vote in story.votes] == [False] * 3
    assert story.end == 0 and story.shown_sound is None and story.shown_frames is None and story.attention == []
    assert story.faces["main"].found == 0 and story.notes == []


def test_a_clip_without_a_face(sources):
    story = gather(["unseen"], sources)["unseen"]
    track = story.faces["main"]
    assert (track.found, len(track.time), track.box.shape, track.landmarks.shape) == (0, 6, (6, 4), (6, 5, 2))
    assert np.isnan(track.box).all() and [one.stream for one in story.attention] == ["logmel"]


def test_pictures_can_be_omitted(sources):
    story = gather(["good"], sources, faces=False)["good"]
    track = story.faces["main"]
    assert story.media["sparse"].frames == [] and track.crops == [] and story.shown_frames is None
    assert track.found == 5 and len(story.media["sparse"].audio) == 24_000 and story.notes == []


def test_what_the_cache_no_longer_holds_is_a_note(results, sources):
    cache = results.parents[1] / "cache/small"
    pictures.drop(cache / "media/sparse/00.h5", "jpeg")
    (cache / "faces/main/00.h5").write_bytes(b"damaged")
    (cache / "clips.csv").unlink()
    story = gather(["good"], sources)["good"]
    dropped, damaged, table = story.notes
    assert dropped == "The sampled frames are not in the cache: `emopipe cache --faces` dropped them."
    assert "00.h5 is damaged" in damaged and "clips.csv does not exist" in table
    assert story.faces == {} and len(story.media["sparse"].audio) == 24_000
    assert (story.label, story.split, len(story.votes)) == ("Angry", "val", 3)


def test_a_run_without_its_cache_says_so(results, tmp_path):
    moved = tmp_path / "elsewhere/results/small"
    moved.parent.mkdir(parents=True)
    results.rename(moved)
    story = gather(["good"], clip_sources.of_folder(moved))["good"]
    assert [note.split(" of the preset")[0] for note in story.notes[:2]] == ["The frames and the sound", "The faces"]
    assert "keep_media: false" in story.notes[0] and len(story.attention) == 3


@pytest.mark.parametrize(("kind", "other"), [("dimensions", "Happy"), ("multi", "Happy"), ("votes", "0.5;0.1")])
def test_labels_are_those_of_the_run_if_another_one_has_changed_the_clip_table(tmp_path, kind, other):
    sources = clip_sources.of_folder(handmade_run.make(tmp_path, handmade_run.space_of(kind)))
    before = gather(list(handmade_run.CLIPS), sources)
    tables.write(tables.read(sources.clips).assign(label=other), sources.clips)
    after = gather(list(handmade_run.CLIPS), sources)
    assert {clip: one.label for clip, one in after.items()} == {clip: one.label for clip, one in before.items()}
    assert "has other labels now" in after["good"].notes[-1] and len({one.label for one in after.values()}) > 2


def test_an_unknown_clip_names_similar_ones(sources):
    with pytest.raises(CorpusError, match=r"small has no clip with the id god\. It has 5 clips\. Similar ids: good"):
        gather(["good", "god"], sources)
    with pytest.raises(CorpusError, match="Its first ids: empty, good, secret, trained, unseen"):
        gather(["%%"], sources)
    assert clips_of(sources.results) == ["empty", "good", "secret", "trained", "unseen"]


def test_each_file_is_opened_once_for_all_clips(sources, monkeypatch):
    opened = []

    class Counting(gathering.Reader):
        def __init__(self, path, made_by=None):
            opened.append(path.name)
            super().__init__(path, made_by)

    monkeypatch.setattr(gathering, "Reader", Counting)
    assert list(gather(["good", "secret", "trained"], sources)) == ["good", "secret", "trained"]
    assert sorted(opened) == ["00.h5", "00.h5", "face_a.h5", "fused_b.h5"]


def test_a_run_is_found_by_its_folder_or_its_name(results, monkeypatch):
    monkeypatch.chdir(results.parents[1])
    assert clip_sources.find_run("small").resolve() == clip_sources.find_run(str(results)).resolve() == results
    with pytest.raises(CacheError, match="Neither the folder none nor results/none exists"):
        clip_sources.find_run("none")
    (results / "config.yaml").unlink()
    with pytest.raises(CacheError, match=r"has no config\.yaml"):
        clip_sources.find_run("small")
    (results / "ledger.csv").unlink()
    with pytest.raises(CacheError, match=r"ledger\.csv does not exist"):
        clips_of(results)


def test_a_backbone_of_a_plug_in_that_is_not_installed(results):
    path = results / "config.yaml"
    path.write_text(path.read_text().replace("kind: audio_alexnet", "kind: of_a_plugin"))
    story = gather(["good"], clip_sources.of_folder(results))["good"]
    assert [(one.stream, one.preset) for one in story.attention[1:]] == [("expression", "main"), ("logmel", "")]
    assert [one.stream for one in story.attention_of("audio", "sparse")] == ["logmel"]


def test_the_names_of_times_are_those_of_the_fusion_stage():
    assert gathering.TIME == attention_weights.TIME
