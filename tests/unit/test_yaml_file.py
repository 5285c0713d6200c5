"""Reading YAML: faults are told with line and column; anchors and merges are no repeated keys."""

import pytest

from emopipe.core import yaml_file
from emopipe.core.errors import ConfigError


def read(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return yaml_file.read(path)


def test_plain_data(tmp_path):
    assert read(tmp_path, "\ufeffa: 1\nb: {c: [x, 1.5]}\n") == {"a": 1, "b": {"c": ["x", 1.5]}}
    assert read(tmp_path, "") is None


def test_merged_keys_may_be_set_again(tmp_path):
    """Also where the block that is merged is itself built later, and merges another."""
    text = "a: {inner: &x {<<: &z {k: 0, l: 1}, k: 1}}\nb: {<<: *x, l: 2}\nc: {<<: *x, <<: *z}\n"
    z = {"k": 0, "l": 1}
    assert read(tmp_path, text) == {"a": {"inner": z | {"k": 1}}, "b": {"k": 1, "l": 2}, "c": z}


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "the key 'a' is there twice, first in line 1"),
        ("a: {b: 1, b: 2}\n", (1, 11), "the key 'b' is there twice, first in line 1"),
        ("a:\n  - x\n b: 1\n", (3, 2), "expected <block end>"),
        ("a: [\n", (2, 1), "expected the node content"),
        ("a: *b\n", (1, 4), "found undefined alias"),
        ("a: !!python/object/apply:os.system [true]\n", (1, 4), "could not determine a constructor"),
        ("a: 1\nb: \x07\n", (2, 4), r"the character '\x07' is not allowed"),
        ("1: a\n0x1: b\n", (2, 1), "the key '0x1' is there twice, first in line 1"),
        ("yes: a\ntrue: b\n", (2, 1), "the key 'true' is there twice, first in line 1"),
        ("a: 1\n'a': 2\n", (2, 1), "the key 'a' is there twice, first in line 1"),
    ],
)
def test_faults(tmp_path, text, place, problem):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(
        f"The config {tmp_path / 'a.yaml'} is not valid YAML in line {place[0]}, column {place[1]}: {problem}"
    )
    assert str(caught.value).endswith("Correct it there.") and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["run: größe\n", "# größe\nrun: mine\n", "{}\n"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_wide_encodings_are_named(tmp_path, text, encoding):
    """With a byte order mark, as PowerShell's `>` writes it, and without."""
    name = encoding[:6].upper()
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text.encode(encoding))
    assert str(caught.value) == (
        f"The config {tmp_path / 'a.yaml'} is {name}. Expected UTF-8. Save it as UTF-8 in your editor, or convert it: "
        f"iconv -f {name} -t UTF-8 a.yaml > new.yaml"
    )


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("# Größe\nrun: mine\n".encode("latin-1"), "in line 1, column 5 is the byte 0xf6"),
        ("run: mine\nname: ÿþ\n".encode("latin-1"), "in line 2, column 7 is the byte 0xff"),
        ("run: “mine”\n".encode("cp1252"), "in line 1, column 6 is the byte 0x93"),
    ],
)
def test_narrow_encodings_are_placed(tmp_path, content, place):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content)
    assert str(caught.value) == (
        f"The config {tmp_path / 'a.yaml'} is not UTF-8, perhaps Latin-1 or Windows-1252: {place}. Expected UTF-8. "
        "Save it as UTF-8 in your editor, or convert it: iconv -f ISO-8859-1 -t UTF-8 a.yaml > new.yaml"
    )


def test_json_has_tabs_and_no_key_twice(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{\n\t"a":\t{"b": "x\\ty"},\n\t"c": [1]\n}\n')
    assert yaml_file.read(path) == {"a": {"b": "x\ty"}, "c": [1]}
    path.write_text('{\n\t"a": 1,\n\t"c": {"d": 1,\n\t\t"d": 2}\n}\n')
    with pytest.raises(ConfigError, match=r"line 4, column 3: the key 'd' is there twice, first in line 3\."):
        yaml_file.read(path)


def test_a_value_that_cannot_be_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"a value is not valid: month must be in 1\.\.12"):
        read(tmp_path, "a: 2020-13-01\n")


def test_keys_of_other_types_are_other_keys(tmp_path):
    assert read(tmp_path, "1: a\n'1': b\n") == {1: "a", "1": "b"}


@pytest.mark.slow
def test_depth_without_end(tmp_path):
    with pytest.raises(ConfigError, match="too many blocks within each other"):
        read(tmp_path, "[" * 20_000)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)\. Correct its path"):
        yaml_file.read(tmp_path)
