"""What Snakemake puts back after a job that failed is no current file, and nothing of it is lost."""

import pytest

from emopipe.cache.incremental import making
from emopipe.cache.partial import parts_of
from emopipe.cache.status import OK
from emopipe.cache.store import Field, Row, clips_digest
from emopipe.workflow import after_failure

RECIPE, OTHER = {"stage": "test"}, {"stage": "test", "options": "others"}
CLIPS = {"a": "1", "b": "2", "c": "3"}


def run(path, clips, recipe=RECIPE):
    """A stage over some clips; the clips that it computed."""
    computed = []
    with making(path, {"x": Field("f4")}, stage="test", recipe=recipe) as made:
        for clip in clips:
            if found := made.earlier(clip, CLIPS[clip]):
                made.take(found)
            else:
                computed.append(clip)
                made.add(Row(clip, CLIPS[clip], OK, "", {}))
    return computed


def digest_of(clips):
    return clips_digest([(clip, CLIPS[clip]) for clip in clips])


def test_a_current_file_stays(tmp_path):
    path = tmp_path / "00.h5"
    run(path, "ab")
    after_failure.stash_stale_output(path, RECIPE, digest_of("ab"))
    after_failure.remove_stale_output(path, RECIPE, digest_of("ab"))
    after_failure.stash_stale_output(tmp_path / "missing.h5", RECIPE, "")
    assert [file.name for file in tmp_path.iterdir()] == ["00.h5"]


def test_rows_of_the_clips_before_are_taken_over(tmp_path):
    path = tmp_path / "00.h5"
    run(path, "ab")
    after_failure.stash_stale_output(path, RECIPE, digest_of("abc"))
    assert not path.exists() and len(parts_of(path)) == 1
    assert run(path, "abc") == ["c"] and not parts_of(path)


def test_rows_of_the_recipe_before_are_kept_until_another_file_is_made(tmp_path):
    path = tmp_path / "00.h5"
    run(path, "ab")
    after_failure.stash_stale_output(path, OTHER, digest_of("ab"))
    assert not path.exists()
    assert run(path, "ab") == []  # back to what was before
    after_failure.stash_stale_output(path, OTHER, digest_of("ab"))
    assert run(path, "ab", OTHER) == ["a", "b"] and not parts_of(path)


@pytest.mark.parametrize(("recipe", "clips"), [(OTHER, "ab"), (RECIPE, "abc")])
def test_a_table_of_statuses_is_dropped(tmp_path, recipe, clips):
    path = tmp_path / "00.status.h5"
    run(path, "ab")
    after_failure.remove_stale_output(path, recipe, digest_of(clips))
    assert not path.exists()
