"""Weights by name: a registry that is true to its networks, fetching that leaves nothing half done, sums that hold."""

import functools
import hashlib
import io
import json
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from emopipe.backbones import registry as backbones
from emopipe.backbones.base import AudioInput, FaceInput
from emopipe.backbones.classifier import Classifier, load_head
from emopipe.cache.metadata import read_metadata
from emopipe.commands import weights
from emopipe.commands.main import app
from emopipe.core.errors import ConfigError, WeightsError
from emopipe.core.log import LOGGER
from emopipe.core.validation import checked
from emopipe.faces import detectors
from emopipe.training.phase_options import phase_class
from emopipe.weights import checksums, fetching, naming
from emopipe.weights.entries import DETECTOR, Face, package_registry, read
from emopipe.weights.paths import entry_at, folder, path_of
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan
from tests.conftest import too_many_open_files
from tests.pages import blocks, commands_of

REPOSITORY = Path(__file__).parents[2]
PACKAGE = package_registry()
FACE = {"crop_units": 112, "size": 16, "colour": "gray", "mean": [0], "std": [1]}
NET = {"name": "net", "kind": "onnx", "file": "net.onnx", "licence": "MIT", "noncommercial": False, "citation": "A. B."}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(**changes):
    """One entry as YAML has it; None takes a key away."""
    whole = {**NET, "input": FACE, "dim": 4, "sha256": "0" * 64, "url": "https://there.org/net.onnx", **changes}
    return {key: value for key, value in whole.items() if value is not None}


@pytest.fixture
def write(tmp_path):
    """Entries -> the registry of a file that holds them."""

    def registry(*entries):
        path = tmp_path / "package" / "registry.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(list(entries)))
        return read(path)

    return registry


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of fetched weights."""
    monkeypatch.setenv("EMOPIPE_WEIGHTS", str(tmp_path / "there"))
    return tmp_path / "there"


class Server:
    """Gives files over HTTP from this machine and counts who asks."""

    def __init__(self):
        self.files, self.asked, self.cut = {}, [], 0

    def __call__(self, name, content):
        self.files[f"/{name}"] = content
        return f"{self.address}/{name}"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.asked.append(self.path)
            content = served.files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: len(content or b"") - served.cut])

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=functools.partial(http.serve_forever, poll_interval=0.01))
    thread.start()
    yield served
    http.shutdown()
    thread.join()
    http.server_close()


def fetch(registry, *names):
    """Fetch in one session; what was said."""
    said = []
    with fetching.session() as downloads:
        for name in names:
            fetching.fetch(registry.entries[name], registry, downloads, said.append)
    return said


def left(place):
    """What lies in a folder, hidden files too."""
    return sorted(path.name for path in place.iterdir())


# --- the registry that comes with the package


@pytest.mark.parametrize("known", [e for e in PACKAGE if not e.kind.startswith(DETECTOR)], ids=lambda e: e.name)
def test_an_entry_says_what_its_network_says(known):
    """Geometry, colours, normalisation and dimension are those of the kind with the entry's options."""
    path = {} if backbones.trainable(known.kind) else {"weights": "nowhere.onnx"}
    options = backbones.options_class(known.kind).model_validate({**known.defaults, **path})
    what = backbones.spec(known.kind, options)
    assert what.dim == known.dim
    if isinstance(known.input, Face):
        face = known.input
        mean, std = tuple(face.mean), tuple(face.std)
        assert what.input == FaceInput(face.crop_units, face.size, face.colour, mean, std, face.center_offset_y)
    else:
        assert what.input == AudioInput(known.input.kind, known.input)


@pytest.mark.parametrize("known", [e for e in PACKAGE if e.kind.startswith(DETECTOR)], ids=lambda e: e.name)
def test_a_detectors_entry_fits_it(known):
    options = detectors.options_class(known.kind.removeprefix(DETECTOR))
    assert options.model_validate({**known.defaults, "weights": "x.onnx"}).weights == "x.onnx"


@pytest.mark.parametrize("known", list(PACKAGE), ids=lambda e: e.name)
def test_an_entry_is_whole(known):
    assert known.licence and known.citation
    assert known.shipped or known.url.startswith("https://")
    assert not known.shipped or digest(path_of(known, PACKAGE).read_bytes()) == known.sha256
    assert len(set(known.classes)) == len(known.classes)
    assert known.kind != "onnx" or len(known.classes) in (0, known.dim)
    if "download.pytorch.org" in (known.url or ""):  # whose file names carry the first digits of their sum
        assert known.sha256.startswith(re.search(r"-([0-9a-f]{8})\.pth$", known.file)[1])
        assert known.url.endswith(f"/{known.file}")


OWN = [known for known in PACKAGE if known.shipped]


def test_this_projects_own_weights_are_there():
    voices = {"speech_logmel", "speech_logmel_0_1_0", "speech_spectrogram"}
    assert {known.name for known in OWN} == {"expression", "expression_plus", *voices}


@pytest.mark.parametrize("known", OWN, ids=lambda e: e.name)
def test_own_weights_are_what_their_entry_says(known):
    """Their file holds the recipe that made them, and they load into the network that their entry describes."""
    path, kind = path_of(known, PACKAGE), backbones.options_class(known.kind)
    metadata = read_metadata(path)
    recipe = json.loads(metadata["recipe"])
    assert recipe["kind"] == known.kind
    assert checked(kind, recipe["options"], warn=False) == kind.model_validate(known.defaults)
    assert json.loads(metadata["classes"]) == known.classes
    assert path.stat().st_size == known.bytes <= 12e6
    model = Classifier(backbones.build(known.kind, kind.model_validate(known.defaults)), known.dim)
    backbones.load(known.kind, kind.model_validate(known.defaults), model.backbone, path)
    load_head(model, path)


@pytest.mark.parametrize("known", OWN, ids=lambda e: e.name)
def test_own_weights_have_a_card_and_a_recipe(known):
    """The card says what they learned from and how they do; the command that it gives is that of the recipe's file."""
    card = (PACKAGE.files / f"{known.name}.md").read_text()
    for part in ("**Data**", "**Recipe**", "**Licence**", "**Date**", "## Scores", "## Limits"):
        assert part in card, part
    command = f"emopipe pretrain configs/weights/{known.name}.yaml --data DATA --out {known.file}"
    assert command in card and command in (REPOSITORY / f"configs/weights/{known.name}.yaml").read_text()
    recipe = yaml.safe_load((REPOSITORY / f"configs/weights/{known.name}.yaml").read_text())
    made = json.loads(read_metadata(path_of(known, PACKAGE))["recipe"])
    phase = phase_class(backbones.modality(known.kind)).model_validate(recipe["schedule"][-1])
    # Weights that were made before keys were renamed hold the old names, and lack what is newer and off by default.
    kept = checked(type(phase), made["phase"] if "phase" in made else made["step"])
    assert kept.model_dump() == phase.model_dump() and recipe["half"] is made["half"] is True


def test_what_may_not_be_sold_is_marked():
    marked = {known.name for known in PACKAGE if known.noncommercial}
    assert {known.name for known in PACKAGE if "insightface/releases" in (known.url or "")} <= marked
    assert "vggface" in marked and "yunet" not in marked


# --- reading a registry


def test_an_entrys_defaults(write):
    registry = write(
        entry(options={"dim": 9}),
        entry(name="own", file="own.pth", kind="ir50", options={"dropout": 0.1}, note="Well."),
        entry(name="find", file="find.onnx", kind="detector:scrfd", input=None, dim=None, options={"pad": 0.2}),
    )
    assert registry.entries["net"].defaults == {**FACE, "center_offset_y": 0, "dim": 9}
    assert registry.entries["own"].defaults == {"dropout": 0.1}
    assert registry.entries["find"].defaults == {"pad": 0.2}


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry(sha265="0" * 64)], "0.sha265: Extra inputs are not permitted"),
        ([entry(sha256="0" * 63)], "0.sha256: String should match pattern"),
        ([entry(name="net.onnx")], "0.name: String should match pattern"),
        ([entry(file="../net.onnx")], "0.file: String should match pattern"),
        ([entry(url="file:///etc/passwd")], "0.url: String should match pattern"),
        ([entry(noncommercial="no")], "0.noncommercial: Input should be a valid boolean"),
        ([entry(licence=None)], "0.licence: Field required"),
        ([entry(input={**FACE, "mean": [1, 2]})], "mean has 2 and std 1 values, but colour 'gray' has 1 channels"),
        ([entry(commit="1" * 40)], "the url is not pinned to the commit 1111"),
        ([entry(sha256=None)], "the note of an entry without a sha256 must say what is unknown"),
        ([entry(url=None, sha256=None, note="?")], "without a url is part of the package: it needs a sha256"),
        ([entry(dim=None)], "a backbone's entry needs input and dim"),
        ([entry(kind="detector:yunet")], "a detector's entry has neither"),
        ([entry(), entry(file="other.onnx")], "has the name net twice"),
        ([entry(), entry(name="other")], "has the file net.onnx twice"),
        (["net"], "0: Input should be a valid dictionary"),
    ],
)
def test_unsound_registries_are_refused(write, entries, words):
    with pytest.raises(WeightsError, match=re.escape(words)):
        write(*entries)


@pytest.mark.parametrize("text", ["a: [\n", "- !!python/object/apply:os.system [true]\n"])
def test_a_registry_that_is_no_plain_yaml_is_refused(tmp_path, text):
    (tmp_path / "registry.yaml").write_text(text)
    with pytest.raises(WeightsError, match=r"registry\.yaml cannot be read"):
        read(tmp_path / "registry.yaml")


# --- places


def test_where_weights_lie(write, tmp_path, monkeypatch):
    registry = write(entry(), entry(name="own", file="own.safetensors", kind="ir50", url=None))
    net, own = registry
    monkeypatch.delenv("EMOPIPE_WEIGHTS", raising=False)
    assert folder() == Path("weights") and path_of(net, registry) == Path("weights/net.onnx")
    monkeypatch.setenv("EMOPIPE_WEIGHTS", "/data/nets")
    assert path_of(net, registry) == Path("/data/nets/net.onnx")
    assert path_of(own, registry) == tmp_path / "package/files/own.safetensors"
    assert entry_at("/data/nets/../nets/net.onnx", registry) is net
    assert entry_at("/data/net.onnx", registry) is None


# --- names in a config


@pytest.mark.parametrize("given", ["weights/net", "net.onnx", "./net", "C:\\net", "there"])
def test_paths_are_left_alone(write, tmp_path, monkeypatch, given):
    """A file that exists goes before a name; so does what looks like a path, whether or not it exists."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("mine")
    registry = write(entry(), entry(name="there", file="there.onnx"))
    assert naming.resolve(given, "onnx", "key", registry) == naming.Chosen(given, {})


def test_a_folder_goes_before_no_name(write, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    for name in ("net", "folder"):
        (tmp_path / name).mkdir()
    registry = write(entry())
    assert naming.resolve("net", "onnx", "key", registry).path == str(place / "net.onnx")
    assert naming.resolve("folder", "onnx", "key", registry) == naming.Chosen("folder", {})


def test_a_name_is_looked_up(write, place):
    registry = write(entry())
    assert naming.resolve("net", "onnx", "key", registry) == naming.Chosen(
        str(place / "net.onnx"), {**FACE, "center_offset_y": 0, "dim": 4}
    )


def test_an_unknown_name_is_answered_with_the_nearest(write):
    registry = write(entry(), entry(name="arcface", file="a.onnx"), entry(name="arcface_r50", file="b.onnx"))
    sentence = (
        "backbones.x.weights is 'arcfase', which is neither a file nor one of the weights that "
        "`emopipe weights list` shows. Did you mean arcface or arcface_r50?"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        naming.resolve("arcfase", "onnx", "backbones.x.weights", registry)
    with pytest.raises(ConfigError, match=r"shows\.$"):
        naming.resolve("qqq", "onnx", "backbones.x.weights", registry)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "resnet18",
            "key is net. These are weights of a network of kind onnx, but a network of kind resnet18 has to read them",
        ),
        (
            "detector:scrfd",
            "but the face detector scrfd has to read them. Name others: `emopipe weights list` shows the weights",
        ),
    ],
)
def test_weights_of_another_kind_are_refused(write, kind, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        naming.resolve("net", kind, "key", write(entry()))


# --- fetching


def test_fetching(write, place, server):
    registry = write(entry(url=server("net.onnx", b"a network"), sha256=digest(b"a network"), bytes=9))
    said = fetch(registry, "net")
    assert (place / "net.onnx").read_bytes() == b"a network" and left(place) == ["net.onnx"]
    assert (place / "net.onnx").stat().st_mode & 0o777 == 0o644
    assert said[0].startswith(f"Downloading net from {server.address}/net.onnx (0.0 MB)")
    assert said[1] == f"net is available: {place / 'net.onnx'} (its sha256 is correct)."
    assert fetch(registry, "net") == [f"net is available already: {place / 'net.onnx'} (its sha256 is correct)."]
    assert len(server.asked) == 1


def test_another_file_is_not_kept(write, place, server):
    registry = write(entry(url=server("net.onnx", b"a forgery"), sha256=digest(b"a network")))
    with pytest.raises(WeightsError, match=r"net\.onnx is not the one of the weights net, and is not kept"):
        fetch(registry, "net")
    assert left(place) == []


def test_a_spoilt_file_is_fetched_anew_and_stays_where_that_fails(write, place, server):
    registry = write(entry(url=server("net.onnx", b"a network"), sha256=digest(b"a network")))
    place.mkdir()
    (place / "net.onnx").write_bytes(b"a netw")
    server.files.clear()
    with pytest.raises(WeightsError, match="404"):
        fetch(registry, "net")
    assert (place / "net.onnx").read_bytes() == b"a netw" and left(place) == ["net.onnx"]
    server("net.onnx", b"a network")
    assert "is not the file of the weights net: its sha256 is " in fetch(registry, "net")[0]
    assert (place / "net.onnx").read_bytes() == b"a network"


def test_a_sum_that_is_unknown_is_recorded_and_holds(write, place, server):
    registry = write(entry(url=server("net.onnx", b"first"), sha256=None, note="Its sum is unknown."))
    said = fetch(registry, "net")
    assert f"the registry has no sha256 for it; {digest(b'first')} is recorded in {place}" in said[1]
    assert yaml.safe_load((place / "sums.yaml").read_text()) == {"net.onnx": digest(b"first")}
    assert "its sha256 is that of its first use" in fetch(registry, "net")[0]
    server("net.onnx", b"second")
    (place / "net.onnx").unlink()
    with pytest.raises(WeightsError, match="is not the one of the weights net"):
        fetch(registry, "net")
    assert left(place) == ["sums.yaml"]
    (place / "net.onnx").write_bytes(b"second")
    with pytest.raises(WeightsError, match=rf"but .*sums\.yaml recorded at its first use {digest(b'first')}"):
        fetching.check(registry.entries["net"], registry)


def test_a_file_brought_by_hand_is_recorded_when_first_used(write, place, tmp_path):
    registry = write(entry(sha256=None, note="Its sum is unknown."), entry(name="b", file="b.onnx"))
    place.mkdir()
    (place / "net.onnx").write_bytes(b"first")
    checksums.verify(place / "net.onnx", registry)
    assert yaml.safe_load((place / "sums.yaml").read_text()) == {"net.onnx": digest(b"first")}
    (place / "net.onnx").write_bytes(b"second")
    with pytest.raises(WeightsError, match=r"is not the file of the weights net: .* recorded at its first use"):
        checksums.verify(place / "net.onnx", registry)
    (tmp_path / "mine.onnx").write_bytes(b"whatever")
    checksums.verify(tmp_path / "mine.onnx", registry)  # nobody's business but its owner's


def test_a_folder_that_cannot_be_written_hinders_no_use(write, place, monkeypatch):
    registry = write(entry(sha256=None, note="Its sum is unknown."))
    place.mkdir()
    (place / "net.onnx").write_bytes(b"first")

    def closed(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(checksums, "write_text", closed)
    checksums.verify(place / "net.onnx", registry)
    assert not (place / "sums.yaml").exists()


def test_a_file_brought_by_hand_is_recorded_when_first_checked(write, place):
    registry = write(entry(sha256=None, note="Its sum is unknown."), entry(name="b", file="b.onnx"))
    place.mkdir()
    (place / "sums.yaml").write_text(yaml.safe_dump({"a.onnx": "0" * 64}))
    (place / "net.onnx").write_bytes(b"mine")
    fetching.check(registry.entries["net"], registry)
    assert checksums.recorded() == {"a.onnx": "0" * 64, "net.onnx": digest(b"mine")}


@pytest.mark.parametrize("text", ["- a\n", "net.onnx: 12\n", "a: [\n"])
def test_a_record_of_sums_that_is_none_is_refused(write, place, text):
    registry = write(entry(sha256=None, note="Its sum is unknown."))
    place.mkdir()
    (place / "sums.yaml").write_text(text)
    (place / "net.onnx").write_bytes(b"mine")
    with pytest.raises(WeightsError, match=r"sums\.yaml does not hold files and their sha256, .*\. Delete it"):
        fetching.check(registry.entries["net"], registry)
    assert (place / "sums.yaml").read_text() == text


def test_a_cut_download_is_not_kept_though_its_sum_is_unknown(write, place, server):
    registry = write(entry(url=server("net.onnx", b"x" * 4000), sha256=None, note="Its sum is unknown."))
    server.cut = 1000
    with pytest.raises(WeightsError, match=r"cannot be downloaded from .*\. Try again, or get the file in another way"):
        fetch(registry, "net")
    assert left(place) == []


def test_no_server_is_told_in_a_sentence(write, place):
    registry = write(entry(url="http://127.0.0.1:9/net.onnx"))
    with pytest.raises(WeightsError, match=rf"put it at {place}/net\.onnx and run `emopipe weights verify net`"):
        fetch(registry, "net")
    assert left(place) == []


def zipped(**files):
    """A zip of these files in a folder of their own, a dot in their names as two underscores."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"pack/{name.replace('__', '.')}", text)
    return content.getvalue()


def archived(server, content, *members):
    """An entry for each member of a zip that the server gives."""
    url, pack = server("pack.zip", content), {"sha256": digest(content), "bytes": len(content)}
    return [
        entry(name=name, file=f"{name}.onnx", url=url, sha256=sum_, archive={"member": f"{name}.onnx", **pack})
        for name, sum_ in members
    ]


def test_a_zip_of_two_comes_once(write, place, server):
    content = zipped(a__onnx="A", b__onnx="B")
    registry = write(*archived(server, content, ("a", digest(b"A")), ("b", digest(b"B"))))
    fetch(registry, "a", "b")
    assert left(place) == ["a.onnx", "b.onnx"] and (place / "b.onnx").read_bytes() == b"B"
    assert server.asked == ["/pack.zip"]


def test_a_member_that_is_another_is_not_kept(write, place, server):
    registry = write(*archived(server, zipped(a__onnx="A"), ("a", digest(b"B"))))
    with pytest.raises(WeightsError, match=f"its sha256 is {digest(b'A')}, expected {digest(b'B')}. It is not kept"):
        fetch(registry, "a")
    assert left(place) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(zipped(b__onnx="B"), "has 0 files called a.onnx, expected one"), (b"no zip", "is not a zip")],
)
def test_a_zip_without_the_member_is_refused(write, place, server, content, words):
    registry = write(*archived(server, content, ("a", digest(b"A"))))
    with pytest.raises(WeightsError, match=words):
        fetch(registry, "a")
    assert left(place) == []


def test_weights_that_come_with_the_package(write, place, tmp_path):
    registry = write(entry(name="own", file="own.safetensors", kind="ir50", url=None, sha256=digest(b"own")))
    with pytest.raises(
        WeightsError, match=r"own\.safetensors does not exist, although it is part of emopipe\. Install"
    ):
        fetch(registry, "own")
    path = tmp_path / "package/files/own.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"own")
    assert fetch(registry, "own") == [f"own is available already: {path} (its sha256 is correct)."]
    path.write_bytes(b"other")
    with pytest.raises(WeightsError, match="Install emopipe again"):
        fetch(registry, "own")


# --- in a run

RUN = yaml.safe_load("""
run: x
corpus: {name: c, kind: folder}
corpus_root: /data
shards: 1
decode: {some: {policy: count, count: 4}}
faces: {main: {detector: mtcnn}}
backbones:
  face: {kind: vggface, weights: vggface}
models:
  face_one: {streams: [face]}
""")


def parsed(**changes):
    return configs.parse({**RUN, **changes})


def plan(config):
    columns = ("clip", "digest", "split", "label", "subject", "path")
    return Plan(config, pd.DataFrame({name: ["a"] for name in columns}), REPOSITORY / "workflow_scripts")


def test_a_config_names_weights(place):
    config = parsed(
        faces={"main": {"detector": "scrfd", "options": {"weights": "scrfd_10g", "max_side": 64}}},
        backbones={
            "face": {"kind": "resnet18", "weights": "resnet18_imagenet"},
            "moods": {"kind": "onnx", "options": {"weights": "enet_b2", "crop_units": 120.0}},
            "voice": {"kind": "audio_alexnet", "weights": "alexnet_imagenet"},
            "shout": {
                "kind": "audio_alexnet",
                "weights": "alexnet_imagenet",
                "options": {"spectrum": {"kind": "spectrogram"}},
            },
            "mine": {"kind": "ir50", "weights": "nowhere/ir50.pth"},
        },
    )
    nets = config.backbones
    assert config.faces["main"].options == {"weights": str(place / "det_10g.onnx"), "max_side": 64}
    assert nets["face"].weights == str(place / "resnet18-f37072fd.pth") and nets["face"].options == {}
    assert nets["moods"].options["weights"] == str(place / "enet_b2_8.onnx")
    assert {key: nets["moods"].options[key] for key in ("crop_units", "size", "dim")} == {
        "crop_units": 120.0,
        "size": 260,
        "dim": 8,
    }
    assert nets["voice"].options == {"spectrum": {"kind": "logmel"}, "batch_norm": False}
    assert nets["shout"].options == {"spectrum": {"kind": "spectrogram"}, "batch_norm": False}
    assert nets["mine"].weights == "nowhere/ir50.pth"


def test_another_output_of_registered_weights_has_another_length(place):
    """The registry knows the length of the first output alone."""
    options = {"weights": "enet_b2", "output": "penultimate"}
    net = parsed(backbones={"face": {"kind": "onnx", "options": options}}).backbones["face"]
    assert "dim" not in net.options and net.options["size"] == 260
    options["dim"] = 1408
    assert parsed(backbones={"face": {"kind": "onnx", "options": options}}).backbones["face"].options["dim"] == 1408


def test_old_names_of_options_go_before_the_registrys_too(place, monkeypatch):
    """A config of the last release: its own value counts, not that of the weights' entry, and one warning comes."""
    said = []
    monkeypatch.setattr(LOGGER, "warning", said.append)
    options = {"weights": "enet_b2", "side_units": 120.0}
    net = parsed(backbones={"face": {"kind": "onnx", "options": options}}).backbones["face"]
    assert net.options["crop_units"] == 120.0 and net.options["size"] == 260 and "side_units" not in net.options
    assert [line.partition(". ")[0] for line in said] == ["backbones.face.options.side_units is now called crop_units"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"backbones": {"face": {"kind": "ir50", "weights": "vggface"}}},
            "backbones.face.weights is vggface. These are weights of",
        ),
        ({"backbones": {"face": {"kind": "vggface", "weights": "vgface"}}}, "Did you mean vggface"),
        (
            {"backbones": {"face": {"kind": "onnx", "options": {"weights": "vggface"}}}},
            "backbones.face.options.weights is vggface. These are weights of a network of kind vggface",
        ),
        (
            {"faces": {"main": {"detector": "yunet", "options": {"weights": "scrfd_10g"}}}},
            "faces.main.options.weights is scrfd_10g. These are weights of the face detector scrfd, but",
        ),
    ],
)
def test_a_config_that_names_the_wrong_ones_is_refused(place, changes, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        parsed(**changes)


def test_missing_weights_say_what_where_and_how(place):
    sentence = (
        f"backbones.face.weights needs the weights vggface: {place}/vgg_face_dag.pth does not exist. Run "
        "`emopipe weights fetch vggface`, or put "
        "https://www.robots.ox.ac.uk/~albanie/models/pytorch-mcn/vgg_face_dag.pth there "
        "(CC BY-NC 4.0, for non-commercial use only)."
    )
    with pytest.raises(WeightsError, match=f"^{re.escape(sentence)}$"):
        plan(parsed()).check_weights()
    onnx = parsed(backbones={"face": {"kind": "onnx", "options": {"weights": "arcface_r50"}}})
    with pytest.raises(WeightsError, match=r"options\.weights needs .*put w600k_r50\.onnx of .*/buffalo_l\.zip there"):
        plan(onnx).check_weights()
    faces = parsed(faces={"main": {"detector": "yunet", "options": {"weights": "yunet"}}})
    with pytest.raises(WeightsError, match=r"^faces\.main\.options\.weights needs the weights yunet: .* fetch yunet`"):
        plan(faces).check_weights()


def test_optional_weights_that_are_missing_leave_their_models_out(place):
    face, voice = {"kind": "vggface", "weights": "vggface", "optional": True}, {"kind": "audio_alexnet", "pretrain": {}}
    config = parsed(
        backbones={"face": face, "voice": voice}, models={**RUN["models"], "audio_one": {"streams": ["voice"]}}
    )
    planned = plan(config)
    planned.check_weights()
    assert list(planned.models) == ["audio_one"]
    assert "Run `emopipe weights fetch vggface`" in planned.missing["face_one"]


def test_a_run_refuses_another_file_than_the_name_says(place):
    place.mkdir()
    path = place / "vgg_face_dag.pth"
    path.write_bytes(b"first")
    recipe = plan(parsed()).features("face")
    assert recipe["weights"] == [digest(b"first")] and str(place) not in str(recipe)
    fetching.check(PACKAGE.entries["vggface"], PACKAGE)
    path.write_bytes(b"second, of another size")
    with pytest.raises(WeightsError, match=f"is not the file of the weights vggface.* recorded .*{digest(b'first')}"):
        plan(parsed()).features("face")
    with pytest.raises(
        WeightsError, match=r"is not the file of the weights resnet18_imagenet.* the registry has f3707"
    ):
        (place / "resnet18-f37072fd.pth").write_bytes(b"no")
        plan(parsed(backbones={"face": {"kind": "resnet18", "weights": "resnet18_imagenet"}})).features("face")


# --- the command


def run(*arguments):
    return CliRunner().invoke(app, ["weights", *arguments], env={"COLUMNS": "300"})


@pytest.fixture
def known(write, monkeypatch):
    """Make these entries the package's, as far as the command goes."""

    def use(*entries):
        registry = write(*entries)
        monkeypatch.setattr(weights, "package_registry", lambda: registry)
        return registry

    return use


def test_list(place, known):
    other = entry(name="other", file="o.onnx", noncommercial=True, licence="CC BY-NC 4.0", classes=["fear"])
    known(entry(bytes=4_200_000, classes=["happy", "sad"]), other)
    place.mkdir()
    (place / "net.onnx").write_bytes(b"")
    rows = [line.split(maxsplit=5) for line in run("list").output.splitlines()]
    assert [cell.strip() for cell in rows[0][:5]] == ["name", "kind", "dim", "classes", "MB"]
    assert rows[1][:5] == ["net", "onnx", "4", "2", "4.2"] and rows[1][5].split() == ["MIT", "yes"]
    assert rows[2][:5] == ["other", "onnx", "4", "1", "?"]
    assert rows[2][5].split() == ["CC", "BY-NC", "4.0,", "non-commercial", "no"]
    assert str(place) in run("list").output


def test_list_knows_the_packages_own():
    output = run("list").output
    assert all(name in output for name in PACKAGE.entries)


def test_show(place, known, tmp_path):
    known(entry(note="Well."))
    (tmp_path / "package/files").mkdir()
    (tmp_path / "package/files/net.md").write_text("# A card\n")
    facts, _, card = run("show", "net").output.partition("\n\n")
    assert yaml.safe_load(facts) == {**entry(note="Well."), "path": str(place / "net.onnx")}
    assert card == "# A card\n"


def test_unknown_names_are_answered_before_anything_happens(place, known):
    known(entry())
    for command in ("show", "fetch", "verify"):
        result = run(command, "nett")
        assert result.exit_code == 1 and "'nett' is not one of the weights" in result.stderr
        assert "Did you mean net?" in result.stderr and not place.exists()


def test_fetch_tells_the_licence(place, known, server):
    url = server("net.onnx", b"net")
    known(
        entry(url=url, sha256=digest(b"net"), note="Well."),
        entry(name="b", file="b.onnx", url=url, sha256=digest(b"net"), noncommercial=True, licence="CC BY-NC 4.0"),
    )
    output = run("fetch", "net").output
    assert output.startswith("net: licence MIT.\n  Well.\n  Cite: A. B.\n") and "COMMERCIAL" not in output
    assert "b: licence CC BY-NC 4.0. FOR NON-COMMERCIAL USE ONLY" in run("fetch", "b", "b").output
    assert left(place) == ["b.onnx", "net.onnx"] and len(server.asked) == 2


def test_fetch_goes_on_after_one_that_fails(place, known, server):
    known(
        entry(url=f"{server.address}/gone.onnx"),
        entry(name="b", file="b.onnx", url=server("b.onnx", b"b"), sha256=digest(b"b")),
    )
    result = run("fetch", "net", "b")
    assert result.exit_code == 1 and "The weights net cannot be downloaded" in result.stderr
    assert left(place) == ["b.onnx"] and "Traceback" not in result.output


def test_a_folder_that_cannot_be_is_told_in_a_sentence(place, known):
    known(entry())
    place.write_text("a file")
    result = run("fetch", "net")
    assert result.exit_code == 1 and result.stderr.startswith(f"The folder of weights, {place}, cannot be written")
    assert "EMOPIPE_WEIGHTS" in result.stderr


def test_verify(place, known):
    known(entry(sha256=digest(b"net")), entry(name="gone", file="gone.onnx"))
    place.mkdir()
    (place / "net.onnx").write_bytes(b"net")
    result = run("verify")
    assert result.exit_code == 0
    assert result.stdout == f"net: {place / 'net.onnx'} (its sha256 is correct).\ngone: not available.\n"
    result = run("verify", "gone")
    assert result.exit_code == 1 and result.stderr.startswith(f"gone: {place / 'gone.onnx'} does not exist. Run")
    (place / "net.onnx").write_bytes(b"no")
    result = run("verify")
    assert result.exit_code == 1 and "is not the file of the weights net" in result.stderr
    assert "gone: not available." in result.stdout


def test_verify_in_a_folder_that_cannot_be_written_or_read_is_told_in_sentences(place, known, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    known(entry(sha256=None, note="Its sum is unknown."))
    place.mkdir()
    (place / "net.onnx").write_bytes(b"net")
    with monkeypatch.context() as patch:
        patch.setattr(checksums, "write_text", refuse)
        result = run("verify")
    why = f"{digest(b'net')} is not recorded, because {place / 'sums.yaml'} cannot be written (Permission denied)"
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"net: {place / 'net.onnx'} (the registry has no sha256 for it; {why}).\n"
    with monkeypatch.context() as patch:
        patch.setattr(fetching, "sha256", refuse)
        result = run("verify")
    assert result.exit_code == 1
    assert result.stderr == (
        f"net: {place / 'net.onnx'} cannot be read (Permission denied). Make the file readable, then run again.\n"
    )


def test_a_record_that_cannot_be_read_just_now_is_not_to_be_deleted(place, write):
    registry = write(entry(sha256=None, note="Its sum is unknown."))
    place.mkdir()
    (place / "sums.yaml").write_text("{}")
    with too_many_open_files(), pytest.raises(WeightsError, match=r"sums\.yaml cannot be read \(Too many open files\)"):
        checksums.expected(registry.entries["net"])


# --- docs/weights.md


@pytest.mark.slow
def test_the_pages_commands_run(place, monkeypatch, server):
    """Each as it stands there, on stand-ins for the files that would be fetched."""
    commands = commands_of("docs/weights.md", "emopipe", "weights")
    assert {command[0] for command in commands} == {"list", "show", "fetch", "verify"}
    near = {"url": server("net", b"net"), "sha256": digest(b"net"), "archive": None, "commit": None}
    local = {name: known.model_copy(update=near) for name, known in PACKAGE.entries.items()}
    monkeypatch.setattr(weights, "package_registry", lambda: type(PACKAGE)(local, PACKAGE.files))
    for command in commands:
        result = run(*command)
        assert result.exit_code == 0, result.output
        fetched = command[1:] if command[0] == "fetch" else []
        assert all((place / local[name].file).read_bytes() == b"net" for name in fetched)


def test_the_pages_config_is_sound(place):
    shown = yaml.safe_load(blocks("docs/weights.md", "yaml")[0])
    streams = {"models": {"face_all": {"streams": list(shown["backbones"])}}}
    config = parsed(**shown, **streams)
    assert all(str(place) in (net.weights or net.options["weights"]) for net in config.backbones.values())


def test_the_pages_own_weights_come_with_the_package():
    shown = yaml.safe_load(blocks("docs/weights.md", "yaml")[1])
    models = {"fused_all": {"streams": ["faces", "voices"]}}
    config = parsed(**shown, faces={"main": {"detector": "mtcnn"}}, models=models)
    assert set(config.backbones) == {"faces", "plus", "voices"}
    assert all(Path(net.weights).is_file() for net in config.backbones.values())


def test_nothing_else_reaches_for_the_network():
    """Only `fetching` imports what downloads."""
    tools = re.compile(r"^\s*(?:import|from) (?:pooch|requests|urllib\.request|http)\b", re.MULTILINE)
    found = [p for p in (REPOSITORY / "emopipe").rglob("*.py") if tools.search(p.read_text(encoding="utf-8"))]
    assert [path.relative_to(REPOSITORY).as_posix() for path in found] == ["emopipe/weights/fetching.py"]
