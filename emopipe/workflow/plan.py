"""What each stage is to make, as plain recipes: what Snakemake compares to decide what runs again.

A recipe holds the options that the stage uses, the fingerprint of exactly the code that it uses, and the digests of
the recipes upstream. Device, threads and paths are no part of it: they change no result that counts.
"""

import functools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from emopipe import corpora
from emopipe.backbones import registry as backbones
from emopipe.cache.store import SCHEMA, clips_digest
from emopipe.core.atomic import sha256
from emopipe.core.errors import WeightsError
from emopipe.core.fingerprint import code_fingerprint, digest, script_fingerprint
from emopipe.corpora.digests import UNREADABLE
from emopipe.faces import detectors
from emopipe.fusion.options import EnsembleOptions, FusionOptions
from emopipe.fusion.protocol import KFOLD
from emopipe.report.paper import figure
from emopipe.weights.checksums import verify_sha256
from emopipe.weights.naming import refuse_missing
from emopipe.workflow import scan, sharding
from emopipe.workflow.config import BackboneBlock, Config, EnsembleBlock, ModelBlock, modality
from emopipe.workflow.training_recipe import step_recipe

Recipe = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """Recipes of one run: a checked config, the corpus' clip table with digests, and the scripts' folder."""

    config: Config
    table: pd.DataFrame
    scripts: Path

    # -- which clips -------------------------------------------------------------------------------------------

    @cached_property
    def shard_count(self) -> int:
        """Into how many parts the corpus is cut: as the config says, else as its cache is, else as many as it needs."""
        kept = self.config.shards or sharding.recorded(scan.cache_folder(self.config))
        return kept or sharding.automatic(len(self.table))

    @cached_property
    def shards(self) -> list[str]:
        """Names of the corpus' parts, such as 00 to 07."""
        width = max(2, len(str(self.shard_count - 1)))
        return [f"{number:0{width}d}" for number in range(self.shard_count)]

    def shard_table(self, shard: str) -> pd.DataFrame:
        """The clips of one part."""
        return self._by_shard.get(shard, self.table.iloc[:0])

    @functools.cache  # noqa: B019 - there is one plan a process
    def shard_digest(self, shard: str) -> str:
        """Digest of the clips in one part and of their content, whatever their labels and paths."""
        return _content(self.shard_table(shard))

    @functools.cache  # noqa: B019 - there is one plan a process
    def all_digest(self) -> str:
        """Digest of all clips and their content, as a merged file holds them."""
        return _content(self.table)

    def shard_paths(self, shard: str) -> dict[str, str]:
        """The paths, in the corpus' folder, of the clips in one part that could be read when it was scanned."""
        table = self.shard_table(shard)
        table = table[table["digest"] != UNREADABLE]
        return dict(zip(table["clip"], table["path"], strict=True))

    @cached_property
    def _by_shard(self) -> dict[str, pd.DataFrame]:
        return dict(zip(self.shards, sharding.cut(self.table, self.shard_count), strict=True))

    def check_weights(self) -> None:
        """Find every file of weights that the config names, before anything runs.

        Raises:
            WeightsError: One is missing or unfit.
        """
        for preset in self.config.faces:
            self.faces(preset)
        for backbone in self.backbones:
            self.features(backbone)

    @cached_property
    def missing_backbones(self) -> dict[str, str]:
        """Optional backbones whose weights are not there -> what to do about it."""
        missing = {}
        for name, block in self.config.backbones.items():
            try:
                self._network(name, block)
            except WeightsError as error:
                if not block.optional:
                    raise
                missing[name] = str(error)
        return missing

    @cached_property
    def backbones(self) -> dict[str, BackboneBlock]:
        """The backbones that can run."""
        return {n: block for n, block in self.config.backbones.items() if n not in self.missing_backbones}

    @cached_property
    def models(self) -> dict[str, ModelBlock]:
        """The models whose backbones can run."""
        return {n: block for n, block in self.config.models.items() if set(block.streams) <= set(self.backbones)}

    @cached_property
    def ensembles(self) -> dict[str, EnsembleBlock]:
        """The run's answer and its other ensembles, with the members that can run; none where no member can."""
        blocks = {"ensemble": self.config.ensemble, **self.config.ensembles}
        members = {
            n: [m for m in block.members or self.config.models if m in self.models] for n, block in blocks.items()
        }
        return {n: block.model_copy(update={"members": members[n]}) for n, block in blocks.items() if members[n]}

    @property
    def missing(self) -> dict[str, str]:
        """Models and ensembles that cannot run -> why, and what to do about it."""
        why = {
            name: " ".join(self.missing_backbones[s] for s in block.streams if s in self.missing_backbones)
            for name, block in self.config.models.items()
            if name not in self.models
        }
        for name, block in self.config.every_ensemble.items():
            gone = [member for member in block.members or self.config.models if member not in self.models]
            if gone and name in self.ensembles:
                why[f"{name} (whole)"] = f"Not run: it lacks {', '.join(gone)}; the row {name} is of the others."
            elif gone:
                why[name] = f"Not run: it lacks all its members, {', '.join(gone)}."
        return why

    def views(self, stream: str) -> list[str]:
        """A backbone's plain features and its views, as their files are called."""
        return [stream, *(f"{stream}@{view}" for view in self.config.backbones[stream].views)]

    def inputs(self, model: str) -> list[str]:
        """The features that a model reads, as their files are called: views too, where it learns from them."""
        block = self.config.models[model]
        return [name for stream in block.streams for name in (self.views(stream) if block.augment else [stream])]

    # -- recipes, stage by stage -------------------------------------------------------------------------------

    def corpus(self) -> Recipe:
        """The clip table itself; for the demo, the drawing too."""
        rows = digest(self.table.to_csv(index=False))
        drawing = self.config.corpus.options if self.config.corpus.kind == "demo" else {}
        code = code_fingerprint("emopipe.stages.corpus", corpora.KINDS[self.config.corpus.kind])
        return {"stage": "corpus", "rows": rows, "shards": self.shard_count, "drawing": drawing, "code": code}

    @functools.cache  # noqa: B019 - there is one plan a process
    def decode(self, preset: str) -> Recipe:
        """Frames and sound of clips."""
        return self._recipe("decode", options=self.config.decode[preset].model_dump())

    @functools.cache  # noqa: B019 - there is one plan a process
    def faces(self, preset: str) -> Recipe:
        """Detected, tracked and aligned faces."""
        block = self.config.faces[preset]
        refuse_missing(block.options.get("weights", ""), f"faces.{preset}.options.weights")
        options = detectors.options_class(block.detector).model_validate(block.options)
        return self._recipe(
            "faces",
            detectors.KINDS[block.detector],
            detector=block.detector,
            jpeg_quality=block.jpeg_quality,
            options=options.model_dump(exclude={"weights"}),
            nets=[_sha256(path) for path in detectors.net_files(block.detector, options)],
            media=digest(self.decode(block.decode)),
        )

    @functools.cache  # noqa: B019 - there is one plan a process
    def chain(self, name: str, step: int) -> Recipe:
        """Weights learned from labelled stills or speech from elsewhere: one step of a backbone's chain."""
        block = self.config.backbones[name]
        options = backbones.options_class(block.kind).model_validate(block.options)
        given = _sha256(_present(block.weights, f"backbones.{name}.weights")) if block.weights else ""
        recipe = step_recipe(
            block.kind,
            options,
            block.chain[step],
            self.config.sources,
            where=f"backbones.{name}.chain.{step}",
            start=digest(self.chain(name, step - 1)) if step else given,
            half=False,
        )
        return {**recipe, "code": digest([recipe["code"], script_fingerprint(self.scripts / "chain.py")])}

    @functools.cache  # noqa: B019 - there is one plan a process
    def pretrain(self, name: str) -> Recipe:
        """Weights learned from the corpus' own training clips."""
        block = self.config.backbones[name]
        train = self.table[self.table["split"] == "train"]
        return self._recipe(
            "pretrain",
            backbones.module_name(block.kind),
            f"emopipe.training.{modality(block)}_clips",
            pretrain=block.pretrain.model_dump(),
            train=digest(train[["clip", "digest", "label", "subject"]].values.tolist()),
            **self._network(name, block),
        )

    @functools.cache  # noqa: B019 - there is one plan a process
    def features(self, file: str) -> Recipe:
        """Feature vectors of clips; `file` is a backbone's name, with `@<view>` for one of its views."""
        name, _, view = file.partition("@")
        block = self.config.backbones[name]
        learned = digest(self.pretrain(name)) if block.pretrain else ""
        network = self._network(name, block)
        modules = backbones.module_name(block.kind), f"emopipe.extraction.{modality(block)}"
        return self._recipe("features", *modules, batch=block.batch, view=view, learned=learned, **network)

    @functools.cache  # noqa: B019 - there is one plan a process
    def merge(self, name: str) -> Recipe:
        """All shards' features in one file."""
        return self._recipe("merge", features=digest(self.features(name)))

    @functools.cache  # noqa: B019 - there is one plan a process
    def fusion(self, model: str) -> Recipe:
        """A model over features, and what it predicts."""
        block = self.config.models[model]
        streams = {stream: modality(self.config.backbones[stream]) for stream in block.streams}
        options = block.model_dump(include=set(FusionOptions.model_fields))
        features = {name: digest(self.merge(name)) for name in self.inputs(model)}
        protocol = self.config.protocol.model_dump()
        return self._recipe("fusion", streams=streams, options=options, features=features, protocol=protocol)

    @functools.cache  # noqa: B019 - there is one plan a process
    def ensemble(self) -> Recipe:
        """The run's answer, and other combinations of its models."""
        blocks = {
            name: block.model_dump(include=set(EnsembleOptions.model_fields)) for name, block in self.ensembles.items()
        }
        return self._recipe(
            "ensemble", ensembles=blocks, members={name: digest(self.fusion(name)) for name in self.members}
        )

    def report(self) -> Recipe:
        """Metrics, ledger, figures and the submission."""
        labels = {block: sorted(getattr(self.config, block)) for block in ("decode", "faces", "backbones")}
        on_afew = self.config.corpus.kind == "afew" and self.config.paper_figures
        whole = {n: b for n, b in self.ensembles.items() if f"{n} (whole)" not in self.missing}
        on_val = [n for n, b in self.models.items() if b.early_stopping and b.early_stopping.watch == "val"]
        return self._recipe(
            "report",
            names=labels,
            run=self.config.run,
            models=list(self.models),
            ensembles=list(self.ensembles),
            missing=self.missing,
            comparisons=[comparison.model_dump() for comparison in self.config.comparisons],
            selected_on_val=on_val + [n for n, b in self.ensembles.items() if set(b.members) & set(on_val)],
            paper={n: figure(b.paper) for n, b in {**self.models, **whole}.items() if on_afew and b.paper},
            protocol=self.config.protocol.model_dump(),
            learned_here=sorted(n for n, b in self.backbones.items() if b.pretrain),
        )

    @property
    def members(self) -> list[str]:
        """All members of any ensemble."""
        named = {member for block in self.ensembles.values() for member in block.members}
        return [name for name in self.models if name in named]

    @property
    def scored_splits(self) -> list[str]:
        """The splits that models are scored on: labelled, and not learned from unless cross-validated."""
        labelled = self.table[self.table["label"] != ""]
        kind = self.config.protocol.kind
        if kind == "kfold":
            return [KFOLD]
        learned = ["train"] if kind == "given" else ["train", "val"]
        return sorted(set(labelled.loc[~labelled["split"].isin(learned), "split"]))

    @property
    def has_unlabelled_test(self) -> bool:
        """Whether there are clips to submit predictions for."""
        return bool(((self.table["split"] == "test") & (self.table["label"] == "")).any())

    def stage_name(self, stage: str, preset: str) -> str:
        """A stage as the ledger calls it: with its preset, where there are several."""
        return stage if len(getattr(self.config, stage)) == 1 else f"{stage}/{preset}"

    # -- helpers -----------------------------------------------------------------------------------------------

    def _network(self, name: str, block: BackboneBlock) -> Recipe:
        options = backbones.options_class(block.kind).model_validate(block.options)
        chained = digest(self.chain(name, len(block.chain) - 1)) if block.chain else ""
        given = block.weights if not chained else None  # what a chain starts from is part of its own recipe
        files = [_present(given, f"backbones.{name}.weights")] if given else []
        refuse_missing(block.options.get("weights", ""), f"backbones.{name}.options.weights")
        files += backbones.net_files(block.kind, options)
        version = backbones.version(block.kind, options)
        face = modality(block) == "face"
        return {
            "kind": block.kind,
            "options": options.model_dump(exclude={"weights"}),
            "weights": [_sha256(path) for path in files],
            "source": digest(self.faces(block.faces) if face else self.decode(block.decode)),
            **({"version": version} if version else {}),
            **({"chain": chained} if chained else {}),
        }

    def _recipe(self, stage: str, *modules: str, **parts: Any) -> Recipe:
        return {"stage": stage, "schema": SCHEMA, "code": self._code(stage, *modules), **parts}

    def _code(self, stage: str, *modules: str) -> str:
        return digest([script_fingerprint(self.scripts / f"{stage}.py"), code_fingerprint(*modules)])


def _content(table: pd.DataFrame) -> str:
    return clips_digest(sorted(zip(table["clip"], table["digest"], strict=True)))


def _present(path: str, key: str) -> Path:
    refuse_missing(path, key)
    if not Path(path).is_file():
        raise WeightsError(
            f"{key} names {path}, which is not there: put the weights file at that path, change the path, or name "
            "weights that `emopipe weights list` shows."
        )
    return Path(path)


def _sha256(path: Path) -> str:
    stat = path.stat()
    found = _sha256_of(path, stat.st_size, stat.st_mtime_ns)
    verify_sha256(path, found)
    return found


@functools.cache
def _sha256_of(path: Path, _size: int, _mtime_ns: int) -> str:
    """Large weights are asked after once a job; within a process they are read once."""
    return sha256(path)
