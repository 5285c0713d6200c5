"""After a change, exactly the jobs that it concerns run again: the job sets of dry runs, compared whole."""

import contextlib
import copy
import os
import shutil
from collections import Counter

import pytest
import yaml

from emopipe.core.hashing import bucket
from tests.workflow.conftest import Workflow, small_config, write_config, write_onnx_net

SHARDS = ["00", "01"]
MODELS = ["face_learned", "face_given", "audio_voice", "fused_two"]
ANSWER = ["ensemble", "report", "page"]


def jobs(*names):
    return Counter(names)


def features(backbone, shards=SHARDS):
    return [*(f"features {backbone} {shard}" for shard in shards), f"merge {backbone}"]


def fusion(*models):
    return [f"fusion {model}" for model in models]


def shard_of(clip):
    return f"{bucket(clip, 2):02d}"


@contextlib.contextmanager
def edited(path, old, new):
    """The file with `old` replaced by `new`; afterwards as before, time stamps included."""
    stat, before = path.stat(), path.read_bytes()
    text = before.decode()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def planned(workflow, change=None, run="first"):
    """What would run with the small config, changed."""
    config = small_config(workflow.work)
    if change:
        change(config)
    config["run"] = run
    return workflow.jobs("--configfile", write_config(workflow.work / "changed.yaml", config))


def test_nothing_changed(finished):
    assert planned(finished) == jobs()
    assert "Nothing to be done" in finished.snakemake("--configfile", str(finished.work / "small.yaml"))


def test_comments_and_docstrings(finished):
    edits = [
        ("emopipe/media/video.py", "# frames may grow in the middle", "# they may grow"),
        ("emopipe/faces/alignment.py", '"""From a face', '"""Out of a face'),
        ("emopipe/backbones/nets/expression.py", "# 1. stem: 48 -> 24", "# 1. the stem"),
        ("emopipe/fusion/attention.py", '"""The mean of a clip\'s vectors."""', '"""Mean."""'),
        ("emopipe/cache/store.py", "# create_dataset, not assignment:", "# not assignment:"),
        ("workflow_scripts/decode.py", '"""Decode one shard\'s clips."""', '"""Decode."""\n# And a comment.'),
        ("emopipe/__init__.py", '__version__ = "0.2.0"', '__version__ = "0.2.1"'),
    ]
    with contextlib.ExitStack() as stack:
        for file, old, new in edits:
            stack.enter_context(edited(finished.code / file, old, new))
        assert planned(finished) == jobs()


def test_whether_the_page_shows_faces(finished):
    assert planned(finished, lambda config: config.update(report={"faces": False})) == jobs("page")


def test_the_form_of_the_page(finished):
    with edited(finished.code / "emopipe/report/page/files/page.css", "max-width: 75rem", "max-width: 70rem"):
        assert planned(finished) == jobs("page")


def test_the_page_does_not_have_media_decoded_again(finished):
    """It shows what is kept, and a run whose media were deleted stays finished."""
    media = finished.work / "cache/small/media"
    shutil.move(media, hidden := finished.work / "hidden")
    (media / "sparse").mkdir(parents=True)
    for status in (hidden / "sparse").glob("*.status.h5"):
        shutil.copy2(status, media / "sparse")
    try:
        assert planned(finished) == jobs()
    finally:
        shutil.rmtree(media)
        shutil.move(hidden, media)


def test_snakemakes_own_report_has_the_tables_and_figures(finished):
    made = finished.work / "report.html"
    finished.snakemake("--configfile", str(finished.work / "small.yaml"), "--report", str(made), start=True)
    text = made.read_text(encoding="utf-8")
    for name in ("report.html", "results.csv", "comparisons.csv", "ledger.csv", "confusion_ensemble_val.png"):
        assert f"results/first/{name}" in text or f"/{name}" in text, name
    for caption in ("95 % intervals over the groups", "Clips by label (rows)", "EU AI Act", "What became of each clip"):
        assert caption in text, caption


def test_a_backbones_config(finished):
    def change(config):
        config["backbones"]["given"]["batch"] = 7

    assert planned(finished, change) == jobs(*features("given"), *fusion("face_given", "fused_two"), *ANSWER)


def test_a_pretrained_backbones_config(finished):
    def change(config):
        config["backbones"]["learned"]["pretrain"]["lr"] = 0.001

    expected = jobs("pretrain learned", *features("learned"), *fusion("face_learned"), *ANSWER)
    assert planned(finished, change) == expected


def test_a_backbones_weights(finished):
    net = finished.work / "net.onnx"
    before = net.read_bytes()
    write_onnx_net(net, seed=1)
    assert planned(finished) == jobs(*features("given"), *fusion("face_given", "fused_two"), *ANSWER)
    net.write_bytes(before)
    assert planned(finished) == jobs()  # the content counts, not the time stamp


def test_a_backbones_code(finished):
    with edited(finished.code / "emopipe/backbones/onnx.py", "max(1, len(batch))", "max(2, len(batch))"):
        assert planned(finished) == jobs(*features("given"), *fusion("face_given", "fused_two"), *ANSWER)
    with edited(finished.code / "emopipe/backbones/nets/audio_alexnet.py", "STRIDE = 32", "STRIDE = 31 + 1"):
        expected = jobs("pretrain voice", *features("voice"), *fusion("audio_voice", "fused_two"), *ANSWER)
        assert planned(finished) == expected


def test_the_detector(finished):
    def change(config):
        config["faces"]["main"]["detector"] = "centerface"

    expected = jobs(
        *(f"faces {shard}" for shard in SHARDS),
        "pretrain learned",
        *features("learned"),
        *features("given"),
        *fusion("face_learned", "face_given", "fused_two"),
        *ANSWER,
    )
    assert planned(finished, change) == expected
    with edited(finished.code / "emopipe/faces/detectors/mtcnn.py", "] = 0.7\n", "] = 0.71\n"):
        assert planned(finished) == expected


def test_code_that_no_stage_of_this_run_uses(finished):
    files = ["faces/detectors/centerface.py", "backbones/ir50.py", "corpora/afew.py", "core/log.py", "commands/main.py"]
    with contextlib.ExitStack() as stack:
        for file in files:
            stack.enter_context(edited(finished.code / "emopipe" / file, "\n\n\n", "\n\nUNUSED = 1\n\n\n"))
        assert planned(finished) == jobs()


def test_the_spectra_concern_audio_alone(finished):
    with edited(finished.code / "emopipe/media/spectrogram.py", "_DELTA_WIDTH = 9", "_DELTA_WIDTH = 7"):
        expected = jobs("pretrain voice", *features("voice"), *fusion("audio_voice", "fused_two"), *ANSWER)
        assert planned(finished) == expected


def test_the_frame_sampling(finished):
    def change(config):
        config["decode"]["few"]["count"] = 4

    everything = jobs(
        *(f"{stage} {shard}" for stage in ("decode", "faces") for shard in SHARDS),
        "pretrain learned",
        "pretrain voice",
        *features("learned"),
        *features("given"),
        *features("voice"),
        *fusion(*MODELS),
        *ANSWER,
    )
    assert planned(finished, change) == everything
    for file, old, new in (
        ("survey.py", "USABLE_FROM = 0.5", "USABLE_FROM = 0.6"),
        ("worker.py", "(0, 0)", "(1, 1)"),
    ):
        with edited(finished.code / "emopipe/media" / file, old, new):
            assert planned(finished) == everything


def test_the_fusions_learning_rate(finished):
    def change(config):
        config["models"]["fused_two"]["lr"] = 0.002

    assert planned(finished, change) == jobs(*fusion("fused_two"), *ANSWER)


def test_the_fusions_code(finished):
    with edited(finished.code / "emopipe/fusion/bilinear.py", "dropout: float = 0.1", "dropout: float = 0.2"):
        assert planned(finished) == jobs(*fusion(*MODELS), *ANSWER)


def test_the_protocol(finished):
    def change(config):
        config["protocol"] = {"folds": 3}

    assert planned(finished, change) == jobs(*fusion(*MODELS), *ANSWER)


def test_a_view_to_learn_from(finished):
    def change(config):
        config["backbones"]["given"]["views"] = ["flip"]
        config["models"]["fused_two"]["augment"] = True

    assert planned(finished, change) == jobs(*features("given@flip"), *fusion("fused_two"), *ANSWER)


def test_one_more_ensemble(finished):
    def change(config):
        config["ensembles"] = {"ensemble_greedy": {"method": "greedy"}}

    assert planned(finished, change) == jobs(*ANSWER)


def test_weights_that_are_not_there(finished):
    """An optional backbone without weights runs nothing but the report, which tells of it."""

    def change(config):
        config["backbones"]["absent"] = {"kind": "ir50", "weights": "nowhere.pth", "optional": True}
        config["models"]["face_absent"] = {"streams": ["absent"]}

    assert planned(finished, change) == jobs("report", "page")


def test_the_ensembles_members(finished):
    def change(config):
        config["ensemble"] = {"members": ["face_given", "fused_two"]}

    assert planned(finished, change) == jobs(*ANSWER)


def test_device_and_threads_rerun_nothing(finished):
    def change(config):
        config["device"], config["threads"] = "cpu", 1

    assert planned(finished, change) == jobs()


def test_a_second_run_with_another_fusion(finished):
    def change(config):
        config["models"] = {"fused_concat": {"streams": ["learned", "voice"], "epochs": 2, "seeds": [0]}}

    assert planned(finished, change, run="second") == jobs(*fusion("fused_concat"), *ANSWER)


def test_a_second_backbone_computes_itself_alone(finished):
    def change(config):
        config["backbones"]["more"] = copy.deepcopy(config["backbones"]["given"]) | {"batch": 3}
        config["models"] = {"face_more": {"streams": ["more"], "epochs": 2, "seeds": [0]}}

    # The ledger tells of every backbone that is configured; the others' features are there already.
    assert planned(finished, change, run="second") == jobs(*features("more"), *fusion("face_more"), *ANSWER)


@pytest.fixture
def corpus(finished):
    """The corpus folder, put back afterwards with its files' time stamps."""
    folder, kept = finished.work / "corpus", finished.work / "kept"
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)


def chain(shard):
    """A shard's chain and what aggregates."""
    return jobs(
        "corpus",
        f"decode {shard}",
        f"faces {shard}",
        *features("learned", [shard]),
        *features("given", [shard]),
        *features("voice", [shard]),
        *fusion(*MODELS),
        *ANSWER,
    )


def test_a_val_clip_added(finished, corpus):
    shutil.copy(next((corpus / "val/Happy").iterdir()), corpus / "val/Happy/zz_new_clip.mp4")
    assert planned(finished) == chain(shard_of("zz_new_clip"))


def test_a_val_clip_replaced(finished, corpus):
    old = next((corpus / "val/Happy").iterdir())
    old.write_bytes(old.read_bytes() + bytes(8))
    assert planned(finished) == chain(shard_of(old.stem))


def test_a_val_clip_removed(finished, corpus):
    old = next((corpus / "val/Happy").iterdir())
    old.unlink()
    assert planned(finished) == chain(shard_of(old.stem))


def test_a_val_clip_touched(finished, corpus):
    next((corpus / "val/Happy").iterdir()).touch()
    assert planned(finished) == jobs()


def test_a_val_clips_label(finished, corpus):
    old = next((corpus / "val/Happy").iterdir())
    old.rename(corpus / "val/Sad" / old.name)
    assert planned(finished) == jobs("corpus", *fusion(*MODELS), *ANSWER)


def test_a_training_clips_label(finished, corpus):
    old = next((corpus / "train/Happy").iterdir())
    old.rename(corpus / "train/Sad" / old.name)
    expected = jobs(
        "corpus",
        "pretrain learned",
        "pretrain voice",
        *features("learned"),
        *features("voice"),
        *fusion(*MODELS),
        *ANSWER,
    )
    assert planned(finished) == expected


def test_labels_and_a_backbone_or_the_detector_changed_at_once(finished, corpus):
    """Snakemake does not look at the params of a job if a job before it runs, as that of the clip table does."""

    def backbone(config):
        config["backbones"]["given"]["batch"] = 3

    def detector(config):
        config["faces"]["main"]["every"] = 2

    old = next((corpus / "val/Happy").iterdir())
    old.rename(corpus / "val/Sad" / old.name)
    assert planned(finished, backbone) == jobs("corpus", *features("given"), *fusion(*MODELS), *ANSWER)
    faces = [*(f"faces {shard}" for shard in SHARDS), "pretrain learned", *features("learned"), *features("given")]
    assert planned(finished, detector) == jobs("corpus", *faces, *fusion(*MODELS), *ANSWER)


def test_a_training_clip_added(finished, corpus):
    shutil.copy(next((corpus / "train/Happy").iterdir()), corpus / "train/Happy/zz_new_clip.mp4")
    shard, other = shard_of("zz_new_clip"), (shard_of("zz_new_clip") == "00" and "01") or "00"
    more = ["pretrain learned", "pretrain voice", f"features learned {other}", f"features voice {other}"]
    assert planned(finished) == chain(shard) + jobs(*more)


def test_a_cache_keeps_its_number_of_shards(finished, corpus):
    """Left to itself, so small a corpus would be split otherwise; its cache has 2 shards."""
    assert planned(finished, lambda config: config.pop("shards")) == jobs()
    shutil.copy(next((corpus / "val/Happy").iterdir()), corpus / "val/Happy/zz_new_clip.mp4")
    assert planned(finished, lambda config: config.pop("shards")) == chain(shard_of("zz_new_clip"))
    new = planned(finished, lambda config: config.update(shards=3))
    assert {job for job in new if job.startswith("decode")} == {"decode 00", "decode 01", "decode 02"}


def test_a_job_sent_to_a_node_looks_at_the_clip_table_not_at_the_corpus(finished):
    """As executors of clusters call Snakemake on the node; there the corpus need not be scanned by every job."""
    config = small_config(finished.work) | {"corpus_root": str(finished.work / "not mounted here")}

    def sent(job):
        path = write_config(finished.work / "changed.yaml", config)
        arguments = ["--mode", "remote", "--target-jobs", job, "--dry-run", "--configfile", path]
        return finished.snakemake(*arguments, check=False)

    assert "rule merge:" in sent("merge:backbone=given")
    config["corpus"]["name"] = "new"
    assert "not mounted here does not exist" in sent("corpus:")


def test_the_corpus_moved(finished, corpus):
    moved = finished.work / "elsewhere"
    shutil.copytree(corpus, moved)
    assert planned(finished, lambda config: config.update(corpus_root=str(moved))) == jobs()
    shutil.rmtree(moved)


def test_another_corpus_under_the_cache_name_is_refused(finished, tmp_path):
    from tests.conftest import write_clip

    for split in ("train", "val"):
        write_clip(tmp_path / "other" / split / "Happy" / f"{split}.avi")
    config = small_config(finished.work) | {"corpus_root": str(tmp_path / "other")}
    path = write_config(finished.work / "changed.yaml", config)
    output = finished.snakemake("--dry-run", "--configfile", path, check=False)
    assert "cache/small is the cache of another corpus" in output
    assert "corpus.name" in output


def test_an_added_clip_alone_is_computed(finished, corpus):
    """Run for real: the new clip's shard grows, everything else keeps its bytes, and then there is nothing to do."""
    config = str(finished.work / "small.yaml")
    cache = finished.work / "cache/small"
    new, source = corpus / "val/Sad/zz_new_clip.mp4", next((corpus / "val/Sad").iterdir())
    before = {path: path.read_bytes() for path in cache.rglob("*.h5")}
    weights = {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    shutil.copy(source, new)
    finished.snakemake("--configfile", config)
    shard = shard_of("zz_new_clip")
    changed = {path for path in cache.rglob("*.h5") if path.read_bytes() != before[path]}
    merged = {cache / f"features/{backbone}.h5" for backbone in ("learned", "given", "voice")}
    assert changed == {path for path in before if path.name.split(".")[0] == shard} | merged
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert planned(finished) == jobs()
    new.unlink()
    finished.snakemake("--configfile", config)
    assert {path for path in before if path.read_bytes() != before[path]} == set()
    assert yaml.safe_load((finished.work / "small.yaml").read_text())["run"] == "first"


def test_temporary_media(finished, tmp_path_factory):
    """Without the sampled frames and sound, what they gave stays: a second run decodes nothing again."""
    work = tmp_path_factory.mktemp("temporary")
    shutil.copytree(finished.work / "corpus", work / "corpus")
    shutil.copy(finished.work / "net.onnx", work / "net.onnx")
    workflow = Workflow(finished.code, work)
    config = small_config(work) | {"keep_media": False}
    workflow.snakemake("--configfile", write_config(work / "small.yaml", config))
    assert {path.name for path in work.glob("cache/small/media/*/*.h5")} == {"00.status.h5", "01.status.h5"}
    assert (work / "results/first/ledger.csv").is_file()
    assert workflow.jobs("--configfile", str(work / "small.yaml")) == jobs()
    config["models"]["fused_two"]["lr"] = 0.002
    config["run"] = "second"
    again = workflow.jobs("--configfile", write_config(work / "small.yaml", config))
    assert again == jobs(*fusion(*MODELS), *ANSWER)
