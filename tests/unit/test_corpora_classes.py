import pytest

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.corpora.classes import OTHER_CLASSES, SYNONYMS, canonical_label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("anger", "Angry"),
        ("ANG", "Angry"),
        (" Happiness ", "Happy"),
        ("hap", "Happy"),
        ("NEU", "Neutral"),
        ("surprised", "Surprise"),
        ("Fearful", "Fear"),
        ("sadness", "Sad"),
        ("DISGUSTED", "Disgust"),
    ],
)
def test_synonyms_in_any_case(name, label):
    assert canonical_label(name) == label


@pytest.mark.parametrize("label", CLASSES)
def test_each_class_is_its_own_name(label):
    assert canonical_label(label) == canonical_label(label.upper()) == canonical_label(label.lower()) == label


def test_no_name_has_two_meanings():
    names = [name for names in SYNONYMS.values() for name in names] + list(OTHER_CLASSES)
    assert len(names) == len(set(names))
    assert all(name == name.casefold() for name in names)
    assert tuple(SYNONYMS) == CLASSES


def test_unknown_name_gets_near_matches():
    with pytest.raises(CorpusError, match=r"^The class 'Angrry' of a\.avi is unknown\. .*Did you mean Angry\?$"):
        canonical_label("Angrry", owner="a.avi")
    with pytest.raises(CorpusError, match=r"'zzz' is unknown\. Expected one of Angry, .* Rename it\.$"):
        canonical_label("zzz")
    with pytest.raises(CorpusError, match="unknown"):
        canonical_label("")


@pytest.mark.parametrize("name", ["Calm", "contempt"])
def test_other_known_classes_are_named_as_such(name):
    with pytest.raises(CorpusError, match="not one of the seven"):
        canonical_label(name)
