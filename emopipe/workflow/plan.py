"""The plan of a run: a recipe for each stage, which Snakemake compares to decide what runs again.

A recipe holds the options that the stage uses, the fingerprint of exactly the code that it uses, the versions of the
libraries that this code uses, and the digests of the recipes upstream. Device, threads and paths are not part of it.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from emopipe.backbones import registry as backbones
from emopipe.backbones.seeds import backbone_of
from emopipe.cache.status import UNREADABLE
from emopipe.cache.store import SCHEMA, clips_digest
from emopipe.core.errors import WeightsError
from emopipe.core.fingerprint import closure, digest, script_closure, script_fingerprint
from emopipe.core.labels import CLASSES, in_recipe
from emopipe.core.libraries import major_minor, versions
from emopipe.core.text import abbreviate
from emopipe.corpora import duplicates, splits
from emopipe.corpora.table import shared_subjects
from emopipe.faces import detectors
from emopipe.fusion.checks import BASELINES, default_members
from emopipe.fusion.options import EnsembleOptions, FusionOptions
from emopipe.fusion.protocol import KFOLD, absent_classes, pretraining_protocol
from emopipe.report import of_corpus
from emopipe.report.page.template import files_digest
from emopipe.report.paper import figure
from emopipe.scoring.metrics import scored
from emopipe.weights.naming import refuse_missing
from emopipe.workflow import first_available, met_in_training, scan, sharding
from emopipe.workflow.config import BackboneBlock, Config, EnsembleBlock, ModelBlock, modality
from emopipe.workflow.digests import Digests
from emopipe.workflow.heads import check_heads, head_classes, serves
from emopipe.workflow.heads import remarks as remarks_on_heads
from emopipe.workflow.library_changes import changes, recorded, sentence
from emopipe.workflow.training_recipe import phase_recipe

Recipe = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """Recipes of one run: from a checked config, the clip table with digests, and the folder of the scripts."""

    config: Config
    table: pd.DataFrame
    scripts: Path
    cores: int | None = None
    """CPU cores that jobs may use together; None on a cluster."""
    digests: Digests = field(default_factory=Digests)
    """Digests of files of weights and of corpora to train on."""
    _library_changes: dict[str, str] = field(default_factory=dict, init=False)
    """Files that other versions of libraries made -> a sentence on them; filled when recipes are computed."""

    # -- which clips -------------------------------------------------------------------------------------------

    @cached_property
    def shard_count(self) -> int:
        """Number of shards: the config's, or else the existing cache's, or else as many as the corpus needs."""
        given = self.config.shards
        return given or sharding.choose(scan.cache_folder(self.config), len(self.table), self.cores)

    @cached_property
    def shards(self) -> list[str]:
        """Names of the shards that have clips, such as 00 to 07; the first one if the corpus has no clips."""
        return list(self._by_shard) or sharding.names(self.shard_count)[:1]

    def shard_table(self, shard: str) -> pd.DataFrame:
        """Return the clips of one shard."""
        return self._by_shard.get(shard, self.table.iloc[:0])

    @functools.cache  # noqa: B019 - there is one plan a process
    def shard_digest(self, shard: str) -> str:
        """Return the digest of one shard's clips and their content; labels and paths do not count."""
        return _content(self.shard_table(shard))

    @functools.cache  # noqa: B019 - there is one plan a process
    def all_digest(self) -> str:
        """Return the digest of all clips and their content, as a merged file holds them."""
        return _content(self.table)

    def shard_paths(self, shard: str) -> dict[str, str]:
        """Return clip -> path below the corpus' folder, for those clips of a shard that could be read when scanned."""
        table = self.shard_table(shard)
        table = table[table["digest"] != UNREADABLE]
        return dict(zip(table["clip"], table["path"], strict=True))

    @cached_property
    def _by_shard(self) -> dict[str, pd.DataFrame]:
        return sharding.cut(self.table, self.shard_count)

    def check_weights(self) -> None:
        """Check every file of weights that the config names, before anything runs.

        Raises:
            WeightsError: A file is missing or belongs to another network.
            ConfigError: A model reads or combines what the heads of backbones give, and one has none, or answers for
                other classes.
        """
        for preset in self.config.faces:
            self.faces(preset)
        for backbone in self.backbones:
            self.features(backbone)
        check_heads(self._own_models, self.backbones, self.config.label_space)

    def library_changes(self) -> list[str]:
        """Return a sentence for each file or folder of the cache that other versions of libraries made."""
        self.check_weights()
        for model in self.models:
            self.fusion(model)
        return list(self._library_changes.values())

    @cached_property
    def missing_backbones(self) -> dict[str, str]:
        """Optional backbones whose weights are missing -> what to do about it."""
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
        """The models whose backbones can run, with these backbones as their streams, and the baselines."""
        return {**self._own_models, **self.baselines}

    @cached_property
    def _own_models(self) -> dict[str, ModelBlock]:
        found = {}
        for name, block in self.config.models.items():
            chosen = first_available.taken(block.streams, self.config.first_available, self.backbones)
            streams = [chosen.get(stream, stream) for stream in block.streams]
            if set(streams) <= set(self.backbones):
                found[name] = block.model_copy(update={"streams": streams})
        return found

    @property
    def first_available(self) -> str:
        """What each name of the config's `first_available` stands for, in sentences; "" without such names."""
        names = self.config.first_available
        return first_available.sentence(first_available.taken(list(names), names, self.backbones))

    def taken(self, name: str) -> dict[str, str]:
        """Return which backbones the names of `first_available` stand for in a model, or in an ensemble's members."""
        members = self.ensembles[name].members if name in self.ensembles else [name]
        blocks = [self.config.models[member] for member in members if member in self.config.models]
        streams = [stream for block in blocks for stream in block.streams]
        return first_available.taken(streams, self.config.first_available, self.backbones)

    @cached_property
    def heads(self) -> list[str]:
        """The backbones whose networks have an emotion head that can answer in the label space.

        Of weights, the header of the file is read.
        """
        return [name for name, block in self.backbones.items() if serves(block, self.config.label_space)]

    @cached_property
    def baselines(self) -> dict[str, ModelBlock]:
        """Pools of the heads of all networks that models use; none if the config says so or fewer than two have one."""
        used = {stream for block in self._own_models.values() for stream in block.streams}
        streams = [name for name in self.heads if name in used]
        if not self.config.baselines or len(streams) < 2:
            return {}
        return {name: ModelBlock(streams=streams, fusion=fusion, seeds=[0]) for name, fusion in BASELINES.items()}

    @cached_property
    def ensembles(self) -> dict[str, EnsembleBlock]:
        """All ensembles, with the members that can run; empty ensembles are omitted."""
        blocks = {"ensemble": self.config.ensemble, **self.config.ensembles}
        members = {n: [m for m in self._asked_members(block) if m in self.models] for n, block in blocks.items()}
        return {n: block.model_copy(update={"members": members[n]}) for n, block in blocks.items() if members[n]}

    def _asked_members(self, block: EnsembleBlock) -> list[str]:
        return block.members or default_members(block.method, list(self.config.models), list(self.baselines))

    @property
    def missing(self) -> dict[str, str]:
        """Models and ensembles that cannot run -> why, and what to do about it."""
        why = {
            name: " ".join(self._why_missing(block.streams))
            for name, block in self.config.models.items()
            if name not in self.models
        }
        for name, block in self.config.every_ensemble.items():
            gone = [member for member in self._asked_members(block) if member not in self.models]
            if gone and name in self.ensembles:
                why[f"{name} (whole)"] = (
                    f"Not run, because {', '.join(gone)} cannot run; the row {name} combines the others."
                )
            elif gone:
                why[name] = f"Not run, because none of its members ({', '.join(gone)}) can run."
        return why

    def _why_missing(self, streams: Sequence[str]) -> list[str]:
        """Return why streams cannot run; for a name of `first_available`, why none of its backbones can."""
        names = self.config.first_available
        every = [names.get(stream, [stream]) for stream in streams]
        gone = [backbones for backbones in every if set(backbones) <= set(self.missing_backbones)]
        return list(dict.fromkeys(self.missing_backbones[one] for backbones in gone for one in backbones))

    def views(self, stream: str) -> list[str]:
        """Return the names of a backbone's features: the plain ones, then its views."""
        return [stream, *(f"{stream}@{view}" for view in self.config.backbones[stream].views)]

    def inputs(self, model: str) -> list[str]:
        """Return the names of the features that a model reads, with views if it is trained on them.

        Those of a backbone that was trained with several seeds follow each other, network by network.
        """
        block = self.models[model]
        networks = [name for stream in block.streams for name in self.backbones if backbone_of(name) == stream]
        return [file for name in networks for file in (self.views(name) if block.augment else [name])]

    # -- recipes, stage by stage -------------------------------------------------------------------------------

    def corpus(self) -> Recipe:
        """Return the recipe of the clip table and, for the demo, of the drawn clips."""
        rows = digest(self.table.to_csv(index=False))
        drawing = self.config.corpus.options if self.config.corpus.kind == "demo" else {}
        code = closure("emopipe.stages.corpus:run").fingerprint
        return {"stage": "corpus", "rows": rows, "shards": self.shard_count, "drawing": drawing, "code": code}

    @functools.cache  # noqa: B019 - there is one plan a process
    def decode(self, preset: str) -> Recipe:
        """Return the recipe of frames and sound."""
        made = f"media/{preset}"
        return self._recipe("decode", made=made, options=self.config.decode[preset].model_dump())

    @functools.cache  # noqa: B019 - there is one plan a process
    def faces(self, preset: str) -> Recipe:
        """Return the recipe of detected, tracked and aligned faces."""
        block = self.config.faces[preset]
        refuse_missing(block.options.get("weights", ""), f"faces.{preset}.options.weights")
        options = detectors.options_class(block.detector).model_validate(block.options)
        return self._recipe(
            "faces",
            detectors.module_name(block.detector),
            made=f"faces/{preset}",
            detector=block.detector,
            jpeg_quality=block.jpeg_quality,
            every=block.every,
            options=options.model_dump(exclude={"weights"}),
            nets=[self.digests.file(path) for path in detectors.net_files(block.detector, options)],
            media=digest(self.decode(block.decode)),
        )

    @functools.cache  # noqa: B019 - there is one plan a process
    def chain(self, name: str, step: int) -> Recipe:
        """Return the recipe of one phase of a backbone's schedule: weights trained on other corpora."""
        block = self.config.backbones[name]
        options = backbones.options_class(block.kind).model_validate(block.options)
        given = self.digests.file(_present(block.weights, f"backbones.{name}.weights")) if block.weights else ""
        recipe = phase_recipe(
            block.kind,
            options,
            block.schedule[step],
            self.config.sources,
            where=f"backbones.{name}.schedule.{step}",
            start=digest(self.chain(name, step - 1)) if step else given,
            half=False,
            digests=self.digests,
            classes=block.classes,
        )
        code = digest([recipe["code"], script_fingerprint(self.scripts / "chain.py")])
        return self._with_kept_libraries({**recipe, "code": code}, f"weights/{name}.step{step}.safetensors")

    @functools.cache  # noqa: B019 - there is one plan a process
    def pretrain(self, name: str) -> Recipe:
        """Return the recipe of weights trained on the corpus' own training clips."""
        block = self.config.backbones[name]
        train, space = self.table[self.table["split"] == "train"], self.config.label_space
        votes = [column for column in space.vote_columns if column in train and space.kind == "votes"]
        return self._recipe(
            "pretrain",
            backbones.module_name(block.kind),
            f"emopipe.training.{modality(block)}_clips",
            made=f"weights/{name}.safetensors",
            pretrain=block.pretrain.model_dump(exclude={"seeds"}),
            folds=pretraining_protocol(self.table, self.config.protocol, block.pretrain.folds).model_dump(),
            train=digest(train[["clip", "digest", "label", "subject", *votes]].values.tolist()),
            **self._network(name, block),
            **in_recipe(space),
        )

    @functools.cache  # noqa: B019 - there is one plan a process
    def features(self, file: str) -> Recipe:
        """Return the recipe of features; `file` is a backbone's name, with `@<view>` for one of its views."""
        name, _, view = file.partition("@")
        block = self.config.backbones[name]
        learned = digest(self.pretrain(name)) if block.pretrain else ""
        network = self._network(name, block)
        modules = backbones.module_name(block.kind), f"emopipe.extraction.{modality(block)}"
        made = f"features/{file}"
        run = {"batch": block.batch, "precision": block.precision}
        classes = head_classes(block, self.config.label_space) or CLASSES
        head = {} if classes == CLASSES else {"head_classes": list(classes)}
        return self._recipe("features", *modules, made=made, view=view, learned=learned, **run, **network, **head)

    @functools.cache  # noqa: B019 - there is one plan a process
    def merge(self, name: str) -> Recipe:
        """Return the recipe of all shards' features in one file."""
        return self._recipe("merge", made=f"features/{name}.h5", features=digest(self.features(name)))

    @functools.cache  # noqa: B019 - there is one plan a process
    def fusion(self, model: str) -> Recipe:
        """Return the recipe of a model and its predictions."""
        block = self.models[model]
        streams = {stream: modality(self.config.backbones[stream]) for stream in block.streams}
        options = block.model_dump(include=set(FusionOptions.model_fields))
        features = {name: digest(self.merge(name)) for name in self.inputs(model)}
        protocol = self.config.protocol.model_dump()
        made = Path(f"results/{self.config.run}/models/{model}.safetensors").absolute()
        parts = {"streams": streams, "options": options, "features": features, "protocol": protocol}
        return self._recipe("fusion", made=made, **parts, **in_recipe(self.config.label_space))

    @functools.cache  # noqa: B019 - there is one plan a process
    def ensemble(self) -> Recipe:
        """Return the recipe of the ensembles."""
        blocks = {
            name: block.model_dump(include=set(EnsembleOptions.model_fields)) for name, block in self.ensembles.items()
        }
        return self._recipe(
            "ensemble",
            ensembles=blocks,
            members={name: digest(self.fusion(name)) for name in self.members},
            **in_recipe(self.config.label_space),
        )

    def report(self) -> Recipe:
        """Return the recipe of metrics, tables, ledger, figures and the submission."""
        labels = {block: sorted(getattr(self.config, block)) for block in ("decode", "faces", "backbones")}
        corpus, space = self.config.corpus, self.config.label_space
        on_afew = corpus.kind == "afew" and self.config.paper_figures
        whole = {n: b for n, b in self.ensembles.items() if f"{n} (whole)" not in self.missing}
        taken = {n: first_available.sentence(self.taken(n)) for n in (*self.models, *self.ensembles) if self.taken(n)}
        on_val = [n for n, b in self.models.items() if b.early_stopping and b.early_stopping.watch == "val"]
        by_person = [n for n, b in self.models.items() if b.normalise == "subject"]
        by_person += [n for n, b in self.ensembles.items() if set(b.members) & set(by_person)]
        return self._recipe(
            "report",
            names=labels,
            run=self.config.run,
            shows_faces=self.config.corpus.kind == "demo",
            models=list(self.models),
            heads={name: modality(self.backbones[name]) for name in self.heads},
            ensembles=list(self.ensembles),
            missing=self.missing,
            comparisons=[comparison.model_dump() for comparison in self.config.comparisons],
            selected_on_val=on_val + [n for n, b in self.ensembles.items() if set(b.members) & set(on_val)],
            paper={n: figure(b.paper) for n, b in {**self.models, **whole}.items() if on_afew and b.paper},
            protocol=self.config.protocol.model_dump(),
            absent_classes=absent_classes(self.table, self.config.protocol, space) if self.models else "",
            learned_here=sorted(n for n, b in self.backbones.items() if b.pretrain),
            split_rule=splits.rule(self.table, self.config.corpus_options),
            **in_recipe(space),
            **({"transductive": by_person} if by_person else {}),
            **({"remarks": self.remarks} if self.remarks else {}),
            **({"met_by": self._met_by(), "corpus": corpus.kind} if self._met else {}),
            **({"taken": taken} if taken else {}),
        )

    @cached_property
    def tables_of_corpus(self) -> list[str]:
        """The tables that the report writes because this corpus has votes of raters, or facts about people."""
        return of_corpus.names(self.table, self.config.label_space)

    def page(self) -> Recipe:
        """Return the recipe of the page."""
        return self._recipe("page", report=self.report(), form=files_digest(), faces=self.config.report.faces)

    def histories(self) -> dict[str, str]:
        """Return the trainings of the run's backbones -> the files of their histories."""
        made = {}
        for name, block in self.backbones.items():
            made |= {f"{backbone_of(name)}.step{step}": "" for step in range(len(block.schedule))}
            made |= {name: ""} if block.pretrain else {}
        return {name: (scan.cache_folder(self.config) / f"weights/{name}.csv").as_posix() for name in made}

    @cached_property
    def remarks(self) -> list[str]:
        """Sentences for the tables of results: what makes scores on this corpus look better than they are, and the
        classes that heads of networks do not know."""
        made, choice = [], self.config.corpus.duplicates
        shared = duplicates.recorded(scan.duplicates_table(self.config))
        if len(shared) and choice != "refuse":
            made.append(duplicates.remark(shared, choice))
        if self.config.protocol.kind != "kfold" and (people := shared_subjects(self.table)):
            who = "1 person is" if len(people) == 1 else f"{len(people)} people are"
            made.append(
                f"{who} in several splits ({abbreviate(people)}): scores say how well models know "
                "these people, which is usually better than how well they do with others."
            )
        used = {stream: self.backbones[stream] for block in self.models.values() for stream in block.streams}
        made += remarks_on_heads(used, self.config.label_space)
        return [*made, *met_in_training.remarks(self.table, self._met)]

    @cached_property
    def _met(self) -> dict[str, pd.Series]:
        return met_in_training.met_clips(self.table, self.config.corpus.kind, self.backbones)

    @property
    def met_weights(self) -> dict[str, str]:
        """Backbones whose weights were trained on clips of the corpus, or on their people -> the file of weights."""
        return {name: met_in_training.weights_of(self.backbones[name]) for name in self._met}

    def _met_by(self) -> dict[str, list[str]]:
        """Return, for each model and ensemble, those of its backbones whose weights were trained on clips of here."""
        of_model = {name: set(block.streams) & set(self._met) for name, block in self.models.items()}
        of_all = of_model | {n: set().union(*(of_model[m] for m in b.members)) for n, b in self.ensembles.items()}
        return {name: sorted(found) for name, found in of_all.items() if found}

    @property
    def members(self) -> list[str]:
        """Models that are members of an ensemble."""
        named = {member for block in self.ensembles.values() for member in block.members}
        return [name for name in self.models if name in named]

    @property
    def scored_splits(self) -> list[str]:
        """Splits that models are scored on: labelled, and either not trained on or cross-validated."""
        labelled = scored(self.table, self.config.label_space)
        if self.config.protocol.kind == KFOLD:
            return [KFOLD]
        return sorted(set(labelled.loc[~labelled["split"].isin(self.config.protocol.learned), "split"]))

    @property
    def has_unlabelled_test(self) -> bool:
        """Whether there are unlabelled test clips, for a submission."""
        return bool(((self.table["split"] == "test") & (self.table["label"] == "")).any())

    def stage_name(self, stage: str, preset: str) -> str:
        """Return a stage's name in the ledger: with its preset, if there are several."""
        return stage if len(getattr(self.config, stage)) == 1 else f"{stage}/{preset}"

    # -- helpers -----------------------------------------------------------------------------------------------

    def _network(self, name: str, block: BackboneBlock) -> Recipe:
        options = backbones.options_class(block.kind).model_validate(block.options)
        chained = digest(self.chain(backbone_of(name), len(block.schedule) - 1)) if block.schedule else ""
        given = block.weights if not chained else None  # what a chain starts from is part of its own recipe
        files = [_present(given, f"backbones.{name}.weights")] if given else []
        refuse_missing(block.options.get("weights", ""), f"backbones.{name}.options.weights")
        files += backbones.net_files(block.kind, options)
        library, _, version = backbones.version(block.kind, options).partition(" ")
        face = modality(block) == "face"
        return {
            "kind": block.kind,
            "options": options.model_dump(exclude={"weights"}),
            "weights": [self.digests.file(path) for path in files],
            "source": digest(self.faces(block.faces) if face else self.decode(block.decode)),
            **({"libraries": {library: major_minor(version)}} if library else {}),
            **({"chain": chained} if chained else {}),
        }

    def _recipe(
        self, stage: str, *modules: str, made: str | Path = "", libraries: Mapping[str, str] | None = None, **parts: Any
    ) -> Recipe:
        """Return a recipe made of its parts, with the fingerprint of code and the libraries that the stage uses.

        Args:
            stage: Its name, which is its script's.
            modules: Modules that the stage looks up by name.
            made: What the recipe makes, below the corpus' cache: its libraries are compared with the installed ones.
            libraries: Versions of libraries beside those that the code imports.
            parts: The rest of the recipe.
        """
        used = script_closure(self.scripts / f"{stage}.py", *modules)
        installed = {**versions(used.imports, used.plugin_imports), **(libraries or {})}
        recipe = {"stage": stage, "schema": SCHEMA, "code": used.fingerprint, "libraries": installed, **parts}
        return self._with_kept_libraries(recipe, made) if made else recipe

    def _with_kept_libraries(self, recipe: Recipe, made: str | Path) -> Recipe:
        """Return the recipe or, if only versions of libraries differ from what made the file and are kept, that one."""
        path = scan.cache_folder(self.config) / made
        was = changes(recorded(path, self.shards), recipe)
        if not was:
            return recipe
        keeps = self.config.library_changes == "keep"
        self._library_changes[str(made)] = sentence(str(path), was, recipe["libraries"], keeps=keeps)
        return {**recipe, "libraries": {**recipe["libraries"], **was}} if keeps else recipe


def _content(table: pd.DataFrame) -> str:
    return clips_digest(sorted(zip(table["clip"], table["digest"], strict=True)))


def _present(path: str, key: str) -> Path:
    refuse_missing(path, key)
    if not Path(path).is_file():
        raise WeightsError(
            f"{key} names {path}, which does not exist. Put the weights file at that path, change the path, or name "
            "weights that `emopipe weights list` shows."
        )
    return Path(path)
