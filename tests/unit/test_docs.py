"""README and docs say what is: commands parse, configs are accepted, links and paths lead somewhere."""

import ast
import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch
import yaml
from snakemake.cli import get_argument_parser

import emopipe
from emopipe.cache import preserved
from emopipe.commands.main import EXAMPLES, load
from emopipe.core import tables
from emopipe.weights import checksums
from emopipe.workflow import config as configs
from emopipe.workflow import launch, resume, submission
from tests.pages import PAGES, REPOSITORY, blocks, commands, name_of

pages = pytest.mark.parametrize("page", PAGES, ids=name_of)


def test_readme_is_short():
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 120


# --- links, paths, names


@pages
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@pages
def test_paths_exist(page):
    roots = "configs|emopipe|profiles|rules|tests|benchmarks|docs|workflow_scripts"
    for path in re.findall(rf"`((?:{roots})/[\w./]*)`", page.read_text()):
        assert (REPOSITORY / path).exists(), path


@pages
def test_targets_exist(page):
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"`make ([\w-]+)", page.read_text()):
        assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("page", [*PAGES, REPOSITORY / "CHANGELOG.md"], ids=name_of)
def test_commands_in_sentences_exist(page):
    for command in re.findall(r"`emopipe ([a-z][\w-]*)", page.read_text()):
        assert command in EXAMPLES, command


def test_keys_in_sentences_exist():
    text = "".join(page.read_text() for page in PAGES)
    for key in ("library_changes", "keep_media", "on_failure", "min_coverage", "paper_figures", "protocol", "shards"):
        assert f"`{key}" in text and key in configs.Config.model_fields, key


def test_the_picture():
    root = ElementTree.parse(REPOSITORY / "docs/pipeline.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    background = root.find(f"{svg}rect")
    assert background.attrib["fill"] == "#ffffff"  # readable in dark mode too
    assert (background.attrib["width"], background.attrib["height"]) == tuple(root.attrib["viewBox"].split()[2:])
    rules = {
        name for path in REPOSITORY.glob("rules/*.smk") for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)
    }
    assert rules <= {text.text for text in root.iter(f"{svg}text")}


# --- commands


@pages
def test_commands_parse(page):
    """Programs, subcommands, options, shipped files and targets exist; nothing is run."""
    for words in commands(page):
        program, *rest = words
        assert program in CHECKS, words
        CHECKS[program](rest)


def _make(words):
    makefile = (REPOSITORY / "Makefile").read_text()
    for word in words:
        variable, equals, _ = word.partition("=")
        assert f"$({variable})" in makefile if equals else re.search(rf"^{word}:", makefile, re.M), word


def _emopipe(words):
    name, *rest = words
    command = load(name)
    if name == "weights":
        command, rest = command.commands[rest[0]], rest[1:]
    context = command.make_context(name, list(rest))
    if name in ("run", "resume"):
        there = ["config.yaml" if word == "mine.yaml" else word for word in context.args]  # the reader's own config
        _snakemake(launch.command(there, REPOSITORY)[3:])
    path = context.params.get("config") or context.params.get("recipe")
    assert path in (None, Path("mine.yaml")) or (REPOSITORY / path).is_file(), words


def _snakemake(words):
    # These plugins are not part of this project's environment: neither they nor their options are known.
    words = ["local" if word in ("kubernetes", "googlebatch") else word for word in words]
    known, unknown = get_argument_parser().parse_known_args(words)
    foreign = ("--kubernetes-", "--googlebatch-", "--default-storage-", "--storage-gcs-", "--container-image")
    assert all(word.startswith(foreign) for word in unknown if word.startswith("-")), unknown
    for config in known.configfile or []:
        assert (REPOSITORY / config).is_file(), config
    profile = known.workflow_profile
    assert profile is None or any((REPOSITORY / place / profile).is_dir() for place in (".", "profiles")), profile
    assert unknown or set(known.targets or ()) <= {"extract", "all"}


def _python(words):
    if words[0] == "-m":
        module = words[1].replace(".", "/")
        assert words[1] == "pytest" or (REPOSITORY / module / "__main__.py").is_file(), words
        words = words[2:]
    for word in words:
        if word.endswith(".py"):
            assert (REPOSITORY / word).is_file(), words


def _pip(words):
    wheels = [word for word in words if word.endswith(".whl")]
    assert words[0] == "install" and all(f"-{emopipe.__version__}-" in wheel for wheel in wheels), words
    assert (REPOSITORY / "constraints.txt").is_file()


def _docker(words):
    text = (REPOSITORY / "Dockerfile").read_text()
    if words[0] == "build":
        arguments = [words[i + 1].partition("=")[0] for i, word in enumerate(words) if word == "--build-arg"]
        assert all(re.search(rf"^ARG {argument}\b", text, re.M) for argument in arguments), words
    else:
        assert words[0] == "run" and 'ENTRYPOINT ["emopipe"]' in text
        _emopipe(words[words.index("emopipe") + 1 :])


def _cp(words):
    assert (REPOSITORY / words[0]).is_file(), words


def _nothing(words):
    """A command of the shell."""


CHECKS = {
    "make": _make,
    "emopipe": _emopipe,
    "snakemake": _snakemake,
    "python": _python,
    "pip": _pip,
    "docker": _docker,
    "cp": _cp,
    "cat": _nothing,
    "source": _nothing,
}


# --- configs

BASE = yaml.safe_load("""
run: x
corpus: {name: x, kind: demo}
decode: {some: {policy: count, count: 4}}
faces: {main: {detector: mtcnn}}
backbones:
  expression:  {kind: expression, pretrain: {}, views: [flip]}
  logmel:      {kind: audio_alexnet, options: {spectrum: {kind: logmel}}, pretrain: {}, views: [noise]}
  spectrogram: {kind: audio_alexnet, options: {spectrum: {kind: spectrogram}}, pretrain: {}}
models:
  face_mean:     {streams: [expression], face_attention: mean}
  face_relation: {streams: [expression], face_attention: relation}
  fused_mine:    {streams: [expression, logmel]}
""")


AS_THEY_ARE = yaml.safe_load("""
backbones: {expression: {kind: expression, weights: expression}}
models: {face_mean: {streams: [expression], face_attention: mean}}
""")
"""Networks that are not trained on the corpus, for labels that they cannot be trained for."""


# Those of docs/training.md wait for the keys `schedule`, `distill_weight` and so on.
@pytest.mark.parametrize(
    "block",
    [pytest.param(block, id=f"{name_of(page)}-{n}") for page in PAGES for n, block in enumerate(blocks(page, "yaml"))],
)
def test_configs_are_accepted(block):
    """What a page shows is a part of a config that is accepted as it stands there, without a warning of old names."""
    shown = yaml.safe_load(block)
    base = BASE | (AS_THEY_ARE if re.search("kind: (multi|dimensions)", block) else {})
    raw = shown if "run" in shown else base | ({"models": {}} if "backbones" in shown else {}) | shown
    if raw["corpus"]["kind"] != "demo":
        raw = {"corpus_root": "/data", **raw}
    assert not re.search(r"\b(chain|taught|fresh|turn|zoom|shift|bands|moments|side_units|down):", block)
    configs.parse(raw)


# --- Python and TOML


def test_the_example_of_a_backbone_works():
    (source,) = blocks("CONTRIBUTING.md", "python")
    module = {"__name__": "example"}
    exec(compile(source, "CONTRIBUTING.md", "exec"), module)
    options = module["BackboneOptions"]()
    spec = module["spec"](options)
    faces = torch.from_numpy(spec.input.prepare(torch.zeros(2, 32, 32, 3, dtype=torch.uint8).numpy()))
    assert module["build"](options)(faces).shape == (2, spec.dim)


def test_the_example_of_an_entry_point_is_toml():
    (source,) = blocks("CONTRIBUTING.md", "toml")
    assert set(tomllib.loads(source)["project"]["entry-points"]) == {"emopipe.backbones"}


# --- the table of layers, the table of hidden files


@pytest.mark.slow
def test_the_table_of_layers_is_that_of_the_imports():
    (table,) = re.findall(r"^\| rooms \|.*?\n\n", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.M | re.S)
    order = [room for cell in re.findall(r"^\| (`.*?) \|", table, re.M) for room in re.findall(r"`(\w+)`", cell)]
    package = REPOSITORY / "emopipe"
    assert sorted(order) == sorted(path.parent.name for path in package.glob("*/__init__.py"))
    for path in package.glob("*/**/*.py"):
        room = path.relative_to(package).parts[0]
        for other in _rooms_imported(path) - {room}:
            assert order.index(other) < order.index(room), f"{path} imports {other}"


def _rooms_imported(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names if name.startswith("emopipe.")]
    return {part[1] for part in parts if (REPOSITORY / "emopipe" / part[1]).is_dir()}


def test_hidden_files_are_named():
    text = (REPOSITORY / "docs/files.md").read_text()
    names = (".PID.tmp.", ".parts/", "lock", preserved.SUFFIX, "stamp", ".work/", "checkpoint.pt", ".damaged")
    in_snakemake = (resume.NOTE.as_posix(), submission.FOLDER.as_posix())
    for name in (*names, *in_snakemake, tables.SUMS, checksums.FILE, "digests.csv", "shards/count", ".fetch-"):
        assert name in text, name
    for status in ("ok", "no_face", "no_audio", "no_video", "undecodable", "unreadable", "failed"):
        assert f"`{status}`" in text, status
