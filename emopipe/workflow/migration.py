"""Reuses caches of release 0.1.0: rewrites what made their files, never their data.

A file is taken over only if three things hold. Its recipe names the code of that release. The files that it was made
from were taken over. And this version computes the same numbers as that release: for each piece of code, the table
`release_0_1_0.json` holds the fingerprint up to which only places, names and messages had changed since the release. If
the code has changed after that, the file needs a rebuild. Release 0.1.0 recorded no versions of libraries; the versions
that it pinned are assumed.
"""

import functools
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emopipe.backbones import registry as backbones
from emopipe.cache import store
from emopipe.cache.metadata import read_metadata
from emopipe.core import tables
from emopipe.core.atomic import sha256
from emopipe.core.errors import CacheError, EmopipeError
from emopipe.core.fingerprint import closure, digest, recipe_text, script_closure, script_fingerprint
from emopipe.core.libraries import major_minor, versions
from emopipe.core.options import Options
from emopipe.core.validation import with_new_names
from emopipe.corpora import demo
from emopipe.demo.plan import DemoOptions, plan
from emopipe.faces import detectors
from emopipe.media.decoded import DecodeOptions
from emopipe.training.options import PretrainOptions
from emopipe.training.phase_options import phase_class

Recipe = dict[str, Any]
TABLE = Path(__file__).with_name("release_0_1_0.json")


@dataclass(frozen=True)
class Outcome:
    """The outcome for one file."""

    path: Path
    is_taken: bool
    why: str = ""
    """Why it is not reused."""


class _RebuildError(Exception):
    """A file cannot be reused; the text gives the reason."""


def migrate(cache: Path, scripts: Path) -> Iterator[Outcome]:
    """Reuse the files of a cache, in the order of the stages; files of this version are skipped.

    Args:
        cache: `cache/<corpus>`.
        scripts: The folder of the workflow's scripts.

    Raises:
        CacheError: The folder holds no cache.
    """
    if not (cache / "clips.csv").is_file():
        raise CacheError(f"{cache} is not a corpus' cache: it has no clips.csv. Give the folder cache/NAME.")
    migration = _Migration(cache, scripts)
    for path in _files(cache):
        try:
            if not migration.is_old(path):
                continue
            migration.take_over(path)
            yield Outcome(path, True)
        except _RebuildError as error:
            yield Outcome(path, False, str(error))
        except EmopipeError as error:
            yield Outcome(path, False, f"{error}")
    migration.rename_demo_clips()


def _files(cache: Path) -> Iterator[Path]:
    """All files, each after those that it was made from."""
    weights = [path for path in (cache / "weights").glob("*.safetensors") if not path.name.startswith(".")]
    steps = sorted((path for path in weights if ".step" in path.name), key=lambda path: (len(path.name), path.name))
    shards = (sorted(cache.glob(pattern)) for pattern in ("media/*/*.h5", "faces/*/*.h5"))
    yield from (path for path in itertools.chain(*shards) if not path.name.startswith("."))
    yield from steps
    yield from sorted(set(weights) - set(steps))
    for pattern in ("features/*/*.h5", "features/*.h5"):
        yield from (path for path in sorted(cache.glob(pattern)) if not path.name.startswith("."))


@dataclass
class _Migration:
    """The state of the migration of one cache."""

    cache: Path
    scripts: Path
    digests: dict[str, str] = field(default_factory=dict)
    """Old digest of a recipe -> its new digest."""
    weights: dict[str, str] = field(default_factory=dict)
    """Old sha256 of a file of weights in the cache -> its new sha256."""

    def is_old(self, path: Path) -> bool:
        """Whether an earlier version made the file: recipes name libraries since."""
        return "libraries" not in _recipe_of(path)

    def take_over(self, path: Path) -> None:
        """Rewrite what made one file. Raises _RebuildError if that would not be true."""
        old = _recipe_of(path)
        new = self._translated(old, path)
        if path.suffix == ".h5":
            learned = {}
            if text := store.attributes(path).get("learned_sha256", ""):
                learned["learned_sha256"] = ", ".join(self.weights.get(each, each) for each in text.split(", "))
            store.relabel(path, new, digests=self._demo_digests or None, **learned)
        else:
            before, times = sha256(path), path.stat()
            _relabel_weights(path, new)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            self.weights[before] = sha256(path)
        self.digests[digest(old)] = digest(new)

    def _translated(self, old: Recipe, path: Path) -> Recipe:
        """Return the recipe of a file of release 0.1.0 as this version writes it."""
        stage, new = old["stage"], dict(old)
        before, now = _modules(old)
        if old["code"] not in _old_codes(stage, before):
            raise _RebuildError("Release 0.1.0 did not make it, or its code had been changed. It needs a rebuild.")
        # 1. the code, if it computes what the release's code did
        for entry in (f"script {stage}", *now):
            if _fingerprint(self.scripts, entry) != _table()["same_numbers"].get(entry):
                raise _RebuildError(f"This version computes other numbers ({entry}). It needs a rebuild.")
        if stage == "chain":
            used = closure("emopipe.stages.chain:run", *now)
            new["code"] = digest([used.fingerprint, script_fingerprint(self.scripts / "chain.py")])
        else:
            used = script_closure(self.scripts / f"{stage}.py", *now)
            new["code"] = used.fingerprint
        # 2. the libraries that the release pinned
        new["libraries"] = {name: _table()["libraries"][name] for name in versions(used.imports)}
        if version := new.pop("version", ""):
            library, _, number = version.partition(" ")
            new["libraries"][library] = major_minor(number)
        if old.get("kind") == "hf":
            new["libraries"]["transformers"] = _table()["libraries"]["transformers"]
        # 3. options under their current names, and what it was made from
        new |= _options(old)
        new.pop("step", None)  # it is `phase` now
        for key in ("media", "source", "learned", "chain", "features"):
            if new.get(key):
                new[key] = self._upstream(new[key])
        if stage == "chain" and not path.stem.endswith(".step0"):  # the first phase starts from a file, or nothing
            new["start"] = self._upstream(new["start"])
        if "train" in new:
            new["train"] = self._train_digest(new["train"])
        return new

    def _upstream(self, old: str) -> str:
        if old not in self.digests:
            raise _RebuildError("A file that it was made from is missing or needs a rebuild. So it needs a rebuild.")
        return self.digests[old]

    @functools.cached_property
    def _clips(self) -> Any:
        return tables.read(self.cache / "clips.csv")

    def _train_digest(self, old: str) -> str:
        """Return the digest of the training clips with their current digests."""
        train = self._clips[self._clips["split"] == "train"]
        columns = ["clip", "digest", "label", "subject"]
        if digest(train[columns].values.tolist()) != old:
            raise _RebuildError("The training clips have changed since it was made. It needs a rebuild.")
        now = train.assign(digest=[self._demo_digests.get(c, d) for c, d in train[["clip", "digest"]].values.tolist()])
        return digest(now[columns].values.tolist())

    # -- the demo corpus, whose clips' digests are those of the code that draws them ---------------------------------

    @functools.cached_property
    def _demo_digests(self) -> dict[str, str]:
        """Clip -> its current digest; empty for any other corpus."""
        found = dict(zip(self._clips["clip"], self._clips["digest"], strict=True))
        options = _demo_options(self._clips)
        if options is None:
            return {}
        for code in _old_fingerprints(["emopipe.demo.video"]):
            old = {c.clip: hashlib.sha256(f"{c.digest()}/{code}".encode()).hexdigest() for c in plan(options)}
            if old == found:
                if _fingerprint(self.scripts, DRAWING) != _table()["same_numbers"].get(DRAWING):
                    raise _RebuildError("This version draws other clips. It needs a rebuild.")
                now = demo.scan(Path(), options)
                return dict(zip(now["clip"], now["digest"], strict=True))
        return {}

    def rename_demo_clips(self) -> None:
        """Give the demo's drawn clips their current names, which hold their digests."""
        try:
            digests = self._demo_digests
        except _RebuildError:
            return
        for row in self._clips.itertuples():
            path = self.cache / "clips" / row.path
            if row.clip in digests and path.is_file():
                path.rename(path.with_name(row.path.replace(row.digest[:8], digests[row.clip][:8])))


DRAWING = "emopipe.demo.video:draw_clip"


def _demo_options(clips: Any) -> DemoOptions | None:
    """Return the options that the demo's table of clips was drawn by, with the default seed; None if it is not one."""
    subjects = {split: clips.loc[clips["split"] == split, "subject"].nunique() for split in ("train", "val", "test")}
    count = sum(subjects.values())
    try:
        return DemoOptions(
            subjects=count,
            val_subjects=subjects["val"],
            test_subjects=subjects["test"],
            takes=len(clips) // max(1, 7 * count),
        )
    except ValueError:
        return None


def _recipe_of(path: Path) -> Recipe:
    """Return the recipe that a file names; {"libraries"...} is missing in those of release 0.1.0."""
    if path.suffix == ".h5":
        with store.Reader(path) as reader:
            return json.loads(reader.attributes["recipe"])
    metadata = read_metadata(path)
    if "recipe" not in metadata:
        raise _RebuildError("It does not say what made it. It needs a rebuild.")
    return json.loads(metadata["recipe"])


def _relabel_weights(path: Path, recipe: Recipe) -> None:
    from emopipe.cache.tensors import read, save_state  # here, as planning a run has no other need of torch

    tensors, metadata = read(path, sealed=True)
    save_state(tensors, path, {**metadata, "recipe": recipe_text(recipe), "recipe_digest": digest(recipe)})


def _options(old: Recipe) -> Recipe:
    """Return the blocks of options in a recipe under their current names, with the defaults of new keys."""
    stage = old["stage"]
    if stage == "decode":
        return {"options": _checked(DecodeOptions, old["options"])}
    if stage == "faces":
        return {"options": _checked(detectors.options_class(old["detector"]), old["options"], "weights")}
    if "kind" not in old:
        return {}
    hidden = () if stage == "chain" else ("weights",)
    new: Recipe = {"options": _checked(backbones.options_class(old["kind"]), old["options"], *hidden)}
    if "pretrain" in old:
        new["pretrain"] = _checked(PretrainOptions, old["pretrain"])
    if "step" in old:
        new["phase"] = _checked(phase_class(backbones.modality(old["kind"])), old["step"])
    return new


def _checked(model: type[Options], values: Mapping[str, Any], *hidden: str) -> Recipe:
    """Return a block with the current names; `hidden` keys hold paths, which recipes do not include."""
    given = {
        **with_new_names(model, values, "", warn=False),
        **{key: "x" for key in hidden if key in model.model_fields},
    }
    return model.model_validate(given).model_dump(exclude={*hidden})


def _modules(recipe: Recipe) -> tuple[list[str], list[str]]:
    """Return the modules that a recipe's stage looked up by name: as release 0.1.0 called them, and now."""
    stage = recipe["stage"]
    if stage == "faces":
        return [f"emopipe.faces.detectors.{recipe['detector']}"], [detectors.module_name(recipe["detector"])]
    if stage in ("decode", "merge"):
        return [], []
    module, modality = backbones.module_name(recipe["kind"]), backbones.modality(recipe["kind"])
    if stage == "features":
        return [module, f"emopipe.extraction.{modality}"], [module, f"emopipe.extraction.{modality}"]
    if stage == "pretrain":
        return [module, f"emopipe.pretraining.{modality}"], [module, f"emopipe.training.{modality}_clips"]
    room = "stills" if modality == "face" else "corpora"
    blocks = [source["options"] for source in recipe["sources"].values()]
    kinds = [f"emopipe.{room}.{'tabular' if block['kind'] == 'table' else block['kind']}" for block in blocks]
    kinds += [f"emopipe.faces.detectors.{block['detect']}" for block in blocks if block.get("detect")]
    order = ["emopipe.corpora.table:check"] if modality == "audio" else []
    return ["emopipe.stages.chain", module, *kinds], [module, *kinds, *order]


def assumed_libraries() -> str:
    """Return the versions of libraries that files of release 0.1.0 are assumed to be made with."""
    return ", ".join(f"{name} {version}" for name, version in sorted(_table()["libraries"].items()))


# -- the code of release 0.1.0 ---


@functools.cache
def _table() -> dict[str, Any]:
    return json.loads(TABLE.read_text(encoding="utf-8"))


def _old_codes(stage: str, modules: list[str]) -> set[str]:
    """Return what release 0.1.0 recorded as a stage's code, one digest for each version of Python."""
    codes = set()
    for python, scripts in _table()["scripts"].items():
        imported = _table()["script_imports"][stage]
        script = digest([scripts[stage], _old_fingerprint(python, imported)])
        own = _old_fingerprint(python, modules)
        codes.add(digest([own, script] if stage == "chain" else [script, own]))
    return codes


def _old_fingerprints(modules: list[str]) -> list[str]:
    return [_old_fingerprint(python, modules) for python in _table()["codes"]]


OLD_UNCOUNTED = frozenset(
    {
        "emopipe", "emopipe.errors", "emopipe.jobs", "emopipe.progress", "emopipe.backbones.registry",
        "emopipe.faces.detectors",
    }
)  # fmt: skip
"""Modules that release 0.1.0 did not count."""


def _old_fingerprint(python: str, modules: list[str]) -> str:
    """Return the fingerprint of modules as release 0.1.0 computed it under a version of Python."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _table()["imports"].get(module, ())
    codes = _table()["codes"][python]
    return digest({module: codes.get(module, "") for module in found - OLD_UNCOUNTED})


# -- the current code ---


@functools.cache
def _fingerprint(scripts: Path, entry: str) -> str:
    kind, _, name = entry.partition(" ")
    return script_fingerprint(scripts / f"{name}.py") if kind == "script" else closure(entry).fingerprint


def entries() -> list[str]:
    """Return all that the table of fingerprints holds a line for; the scripts of stages in OTHER_NUMBERS have none."""
    scripts = [f"script {stage}" for stage in ("decode", "faces", "merge")]
    kinds = [backbones.module_name(kind) for kind in _OLD_BACKBONES]
    rooms = [f"emopipe.faces.detectors.{kind}" for kind in ("mtcnn", "centerface", "scrfd", "yunet")]
    rooms += [f"emopipe.stills.{kind}" for kind in ("affectnet", "expw", "fer2013", "ferplus", "folder", "rafdb")]
    rooms += [f"emopipe.corpora.{kind}" for kind in ("afew", "cremad", "emodb", "folder", "ravdess", "tabular")]
    rooms += [f"emopipe.{room}" for room in ("extraction.face", "extraction.audio")]
    rooms += [f"emopipe.training.{modality}_clips" for modality in ("face", "audio")]
    return [*scripts, *kinds, *rooms, "emopipe.corpora.table:check", DRAWING]


OTHER_NUMBERS = ("chain", "pretrain", "features")
"""Stages whose files of release 0.1.0 are never taken over. Its features lack the log-probabilities of emotion heads.
Its weights do not say what they were trained on, and were trained by other folds and with copies of evaluated clips."""

_OLD_BACKBONES = (
    "ir50", "ir_se50", "resnet18", "densenet121", "vgg16", "vggface", "expression", "onnx", "timm", "audio_alexnet",
    "speech", "hf", "opensmile",
)  # fmt: skip


def vouch(scripts: Path) -> None:
    """Record in the table that the current code computes the same numbers as release 0.1.0.

    Call it (`python -m emopipe.workflow.migration`) only after a change that was shown to change no number, for all
    entries that changed.
    """
    table = _table() | {"same_numbers": {entry: _fingerprint(scripts, entry) for entry in entries()}}
    TABLE.write_text(json.dumps(table, indent=0, sort_keys=True), encoding="utf-8")


if __name__ == "__main__":
    vouch(Path("workflow_scripts"))
