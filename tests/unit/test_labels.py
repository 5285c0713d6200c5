import pytest

from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES, EXTENDED, SYNONYMS, canonical


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
    assert canonical(name) == label


@pytest.mark.parametrize("label", CLASSES)
def test_each_class_is_its_own_name(label):
    assert canonical(label) == canonical(label.upper()) == canonical(label.lower()) == label


def test_no_name_has_two_meanings():
    names = [name for names in SYNONYMS.values() for name in names] + list(EXTENDED)
    assert len(names) == len(set(names))
    assert all(name == name.casefold() for name in names)
    assert tuple(SYNONYMS) == CLASSES


def test_unknown_name_gets_near_matches():
    with pytest.raises(CorpusError, match=r"^The class 'Angrry' of a\.avi is unknown .*did you mean Angry\?$"):
        canonical("Angrry", of="a.avi")
    with pytest.raises(CorpusError, match=r"'zzz' is unknown \(expected one of Angry, .*rename it\.$"):
        canonical("zzz")
    with pytest.raises(CorpusError, match="unknown"):
        canonical("")


@pytest.mark.parametrize("name", ["Calm", "contempt"])
def test_classes_beyond_the_seven_are_said_to_be_so(name):
    with pytest.raises(CorpusError, match="none of the seven"):
        canonical(name)
