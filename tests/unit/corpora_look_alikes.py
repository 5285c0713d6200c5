"""Tiny look-alikes of published corpora: empty files with the names that the corpora have, and lists of their form.

Each function fills a folder and returns what an adapter must make of it: clip -> (path, split, label, subject). The
split is "" where the corpus has none of its own, so that it is drawn, and `DRAWN` where it is drawn from train.
"""

from pathlib import Path

import h5py
import numpy as np

Clips = dict[str, tuple[str, str, str, str]]
DRAWN = "drawn"
"""The split of clips of a published training list, from which val is drawn."""


def touch(root: Path, *paths: str) -> None:
    """Make empty files."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def write(root: Path, path: str, *lines: str) -> None:
    """Write a text file."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text("".join(f"{line}\n" for line in lines))


def dfew(root: Path, fold: int = 1) -> Clips:
    """DFEW: 30 clips of which 28 have a single label; fold k tests those whose number is k - 1 modulo 5."""
    labels = ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear")
    code = {number: (number - 1) % 7 + 1 for number in range(1, 29)}
    for k in range(1, 6):
        for split, tested in (("train", False), ("test", True)):
            chosen = [number for number in code if (number % 5 == k - 1) == tested]
            rows = [f"{number},{code[number]}" for number in chosen]
            write(root, f"EmoLabel_DataSplit/{split}(single-labeled)/set_{k}.csv", "video_name,label", *rows)
    touch(root, *(f"Clip/original/{number}.mp4" for number in range(1, 31)), "Annotation/annotation.xlsx")
    touch(root, *(f"Clip/clip_224x224_avi/{number:05d}.avi" for number in range(1, 31)))
    touch(root, *(f"Clip/clip_224x224/{n:05d}/{n:05d}_{k:05d}.jpg" for n in range(1, 31) for k in (1, 2)))
    return {
        f"{n:05d}": (f"Clip/original/{n}.mp4", "test" if n % 5 == fold - 1 else DRAWN, labels[c - 1], "")
        for n, c in code.items()
    }


def ferv39k(root: Path) -> Clips:
    """FERV39k: three scenes with folders of frames of each class; each third clip is in the test list."""
    labels = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
    names = [(f"{scene}/{label}/{n:04d}", label) for scene in ("Action", "Interview", "War") for label in labels
             for n in range(3)]  # fmt: skip
    test = [f"{name} {label}" for name, label in names if name.endswith("2")]
    write(root, "4_setups/All_scenes/test_All.csv", *test)
    write(root, "4_setups/All_scenes/train_All.csv", *(f"{n} {c}" for n, c in names if not n.endswith("2")))
    touch(root, *(f"2_ClipsforFaceCrop/{name}/{n:05d}.jpg" for name, _ in names for n in (1, 2, 3)))
    return {
        name.replace("/", "__"): (
            f"2_ClipsforFaceCrop/{name}", "test" if name.endswith("2") else DRAWN, label, ""
        )
        for name, label in names
    }  # fmt: skip


MAFW_CLASSES = {"anger": "Angry", "disgust": "Disgust", "fear": "Fear", "happiness": "Happy", "neutral": "Neutral",
                "sadness": "Sad", "surprise": "Surprise", "contempt": "Contempt", "anxiety": "Anxiety",
                "helplessness": "Helplessness", "disappointment": "Disappointment"}  # fmt: skip


def mafw(root: Path, fold: int = 1, kind: str = "single") -> Clips:
    """MAFW: 33 clips; fold k tests those whose number is k modulo 5. Of 22, a compound of two classes is known, too."""
    names = list(MAFW_CLASSES)
    single = {f"{n:05d}": names[n % 11] for n in range(1, 34)}
    compound = {clip: f"{name}_{names[(names.index(name) + 1) % 11]}" if int(clip) <= 22 else name
                for clip, name in single.items()}  # fmt: skip
    for name, lines in (("single", single), ("compound", compound)):
        for k in range(1, 6):
            for split, tested in (("train", False), ("test", True)):
                rows = [f"{clip}.mp4 {label}" for clip, label in lines.items() if (int(clip) % 5 == k % 5) == tested]
                write(root, f"Train & Test Set/{name}/no_caption/set_{k}/{split}.txt", *rows)
    write(root, "Train & Test Set/single/with_caption/set_1/train.txt", "00001.mp4\tdisgust\tx\tA girl.")
    touch(root, "labels/Labels/annotation.xlsx", *(f"data/clips/{clip}.mp4" for clip in single))
    touch(root, *(f"data/frames/{clip}/{n:05d}.jpg" for clip in single for n in (1, 2)))
    return {
        clip: (
            f"data/clips/{clip}.mp4",
            "test" if int(clip) % 5 == fold % 5 else DRAWN,
            ";".join(MAFW_CLASSES[name] for name in label.split("_")),
            "",
        )
        for clip, label in (single if kind == "single" else compound).items()
    }


def caer(root: Path) -> Clips:
    """CAER: two clips of each class in each split, whose numbers begin again in each class."""
    labels = {"Anger": "Angry", "Disgust": "Disgust", "Fear": "Fear", "Happy": "Happy", "Neutral": "Neutral",
              "Sad": "Sad", "Surprise": "Surprise"}  # fmt: skip
    clips = {}
    for folder, split in (("train", "train"), ("validation", "val"), ("test", "test")):
        for name, label in labels.items():
            for number in ("0001", "0002"):
                clips[f"{folder}__{name}__{number}"] = (f"{folder}/{name}/{number}.avi", split, label, "")
    touch(root, *(path for path, *_ in clips.values()), "train.txt")
    return clips


_FRIENDS = ("Ross", "Rachel", "Monica", "Chandler", "Joey", "Phoebe", "Guy")
_MELD_HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"


def meld(root: Path) -> Clips:
    """MELD.Raw: two dialogues of seven utterances in each split, dev with the utterance that has no file."""
    classes = {"anger": "Angry", "disgust": "Disgust", "fear": "Fear", "joy": "Happy", "neutral": "Neutral",
               "sadness": "Sad", "surprise": "Surprise"}  # fmt: skip
    places = {
        "train": ("train", "train/train_splits", "train/train_sent_emo.csv"),
        "dev": ("val", "dev_splits_complete", "dev_sent_emo.csv"),
        "test": ("test", "output_repeated_splits_test", "test_sent_emo.csv"),
    }
    clips: Clips = {}
    for name, (split, folder, table) in places.items():
        lines = []
        for dialogue in (0, 1):
            for utterance, (emotion, label) in enumerate(classes.items()):
                who = _FRIENDS[(utterance + dialogue) % len(_FRIENDS)]
                lines.append(f'{len(lines) + 1},"Well, ""hi"".",{who},{emotion},neutral,{dialogue},{utterance},4,7,'
                             '"00:20:57,256","00:21:00,049"')  # fmt: skip
                path = f"{folder}/dia{dialogue}_utt{utterance}.mp4"
                clips[f"{name}_dia{dialogue}_utt{utterance}"] = (path, split, label, who)
        if name == "dev":
            lines.append('15,Hm.,Joey,neutral,neutral,110,7,6,4,"00:20:57,256","00:21:00,049"')
        write(root, table, _MELD_HEADER, *lines)
    touch(root, *(path for path, *_ in clips.values()), "dev_splits_complete/dia66_utt9.mp4")
    touch(
        root,
        "output_repeated_splits_test/final_videos_testdia0_utt0.mp4",
        "output_repeated_splits_test/._dia0_utt1.mp4",
    )
    return clips


def cremad(root: Path) -> Clips:
    """CREMA-D: four actors who say one sentence in each emotion, with the tables of votes and of actors."""
    classes = {"ANG": "Angry", "DIS": "Disgust", "FEA": "Fear", "HAP": "Happy", "NEU": "Neutral", "SAD": "Sad"}
    letters = [code[0] for code in classes]
    clips: Clips = {}
    for person in ("1001", "1002", "1003", "1047"):
        for code, label in classes.items():
            clips[f"{person}_IEO_{code}_XX"] = (f"VideoFlash/{person}_IEO_{code}_XX.flv", "", label, person)
    touch(root, *(path for path, *_ in clips.values()), *(f"AudioWAV/{clip}.wav" for clip in clips))
    rows = []
    for kind, chosen in ((1, 4), (2, 6), (3, 8)):  # of ten raters; the others choose the next class
        for number, clip in enumerate(clips, start=1):
            right = letters.index(clip[9])
            votes = [chosen if n == right else 10 - chosen if n == (right + 1) % 6 else 0 for n in range(6)]
            if kind == 3 and clip == "1001_IEO_SAD_XX":
                votes = [0, 0, 5, 0, 0, 5]
            rows.append(f'"{kind}{number:05d}",{",".join(map(str, votes))},"{clip}",10,0.8,"{clip[9]}"')
    header = '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"'
    write(root, "processedResults/tabulatedVotes.csv", header, *rows)
    write(root, "VideoDemographics.csv", '"ActorID","Age","Sex","Race","Ethnicity"',
          '1001,51,"Male","Caucasian","Not Hispanic"', '1002,21,"Female","Asian","Not Hispanic"',
          '1003,34,"Female","African American","Not Hispanic"', '1047,22,"Female","Unknown","Hispanic"')  # fmt: skip
    return clips


def enterface(root: Path) -> Clips:
    """eNTERFACE'05: three people, with the odd names that the release has."""
    classes = {"anger": "Angry", "disgust": "Disgust", "fear": "Fear", "happiness": "Happy", "sadness": "Sad",
               "surprise": "Surprise"}  # fmt: skip
    stem = {"1": "s1_{}_{}", "3": "s_3_{}_{}", "11": "s12_{}_{}"}
    clips: Clips = {}
    for person, pattern in stem.items():
        for folder, label in classes.items():
            for number in range(1, 6):
                name = pattern.format(folder[:2], number)
                path = f"subject {person}/{folder}/sentence {number}/{name}.avi"
                clips[f"subject_{person}__{folder}__sentence_{number}__{name}"] = (path, "", label, person)
    touch(root, *(path for path, *_ in clips.values()), "subject 1/Thumbs.db")
    return clips


def savee(root: Path, modality: str = "video") -> Clips:
    """SAVEE: videos and sound of the four speakers, three sentences of each class."""
    classes = {"a": "Angry", "d": "Disgust", "f": "Fear", "h": "Happy", "n": "Neutral", "sa": "Sad", "su": "Surprise"}
    clips: Clips = {}
    for person in ("DC", "JE", "JK", "KL"):
        for letters, label in classes.items():
            for number in (1, 2, 3):
                video, sound = (
                    f"AudioVisualClip/{person}/{letters}{number}.avi",
                    f"AudioData/{person}/{letters}0{number}.wav",
                )
                touch(root, video, sound)
                path = video if modality == "video" else sound
                clips[f"{person}_{letters}0{number}"] = (path, "", label, person)
    touch(root, "AudioData/Info.txt")
    return clips


def tess(root: Path) -> Clips:
    """TESS: three words of both speakers in all classes, in folders, with the file whose name lacks a letter."""
    classes = {"angry": "Angry", "disgust": "Disgust", "fear": "Fear", "happy": "Happy", "neutral": "Neutral",
               "ps": "Surprise", "sad": "Sad"}  # fmt: skip
    clips: Clips = {}
    for person in ("OAF", "YAF"):
        for code, label in classes.items():
            folder = f"{person}_pleasant_surprised" if code == "ps" else f"{person}_{code}"
            for word in ("back", "bite", "long"):
                odd = person == "OAF" and code == "neutral" and word == "bite"
                stem = f"{'OA' if odd else person}_{word}_{code}"
                clips[stem] = (f"{folder}/{stem}.wav", "", label, person)
    touch(root, *(path for path, *_ in clips.values()))
    return clips


def esd(root: Path, folders: bool = True) -> Clips:
    """ESD: two speakers of each language, three sentences of each class, one in each published split."""
    splits = {1: ("evaluation", "val"), 21: ("test", "test"), 51: ("train", "train")}
    clips: Clips = {}
    for person in ("0001", "0010", "0011", "0020"):
        write(root, f"{person}/{person}.txt", f"{person}_000351\tThe nine the eggs, I keep.\tAngry")
        for block, label in enumerate(("Neutral", "Angry", "Happy", "Sad", "Surprise")):
            for sentence, (folder, split) in splits.items():
                stem = f"{person}_{350 * block + sentence:06d}"
                path = f"{person}/{label}/{folder}/{stem}.wav" if folders else f"{person}/{label}/{stem}.wav"
                clips[stem] = (path, split if folders else "", label, person)
    touch(root, *(path for path, *_ in clips.values()))
    return clips


IEMOCAP_NAMES = {"ang": "Anger", "dis": "Disgust", "exc": "Excited", "fea": "Fear", "fru": "Frustration",
                 "hap": "Happiness", "neu": "Neutral state", "oth": "Other", "sad": "Sadness",
                 "sur": "Surprise"}  # fmt: skip


def iemocap(root: Path, modality: str = "audio") -> Clips:
    """IEMOCAP: two dialogues of twelve utterances in each session; the raters disagree on the last two of each.

    Returns the utterances of four classes, Excited as Happy, with session 5 as test and session 1 as val.
    """
    four = {"ang": "Angry", "exc": "Happy", "hap": "Happy", "neu": "Neutral", "sad": "Sad"}
    clips: Clips = {}
    for session in range(1, 6):
        for dialogue in (f"Ses0{session}F_impro01", f"Ses0{session}M_script01_1b"):
            lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
            for number, code in enumerate([*IEMOCAP_NAMES, "xxx", "xxx"]):
                speaker = "FM"[number % 2]
                clip = f"{dialogue}_{speaker}{number:03d}"
                lines.append(f"[{number}.2500 - {number + 1}.5000]\t{clip}\t{code}\t[2.5000, 4.0000, 3.5000]")
                name = IEMOCAP_NAMES.get(code, "Anger")
                lines += [f"C-E2:\t{name};\t()", f"C-E3:\t{name}; Sadness;\t(tired; sad)"]
                lines += [f"C-E4:\t{'Frustration; Anger' if code == 'xxx' else name};\t()"]
                lines += [f"C-{speaker}1:\tFear;\t()", "A-E3:\tval 2; act  4; dom  3;\t()", ""]
                wav = f"Session{session}/sentences/wav/{dialogue}/{clip}.wav"
                avi = f"Session{session}/dialog/avi/DivX/{dialogue}.avi"
                touch(root, wav, avi)
                if code in four:
                    split = {5: "test", 1: "val"}.get(session, "train")
                    path = wav if modality == "audio" else avi
                    clips[clip] = (path, split, four[code], f"Ses0{session}{speaker}")
            folder = f"Session{session}/dialog/EmoEvaluation"
            write(root, f"{folder}/{dialogue}.txt", *lines)
            write(root, f"{folder}/Categorical/{dialogue}_e2_cat.txt", f"{dialogue}_F000 :Anger; ()")
            touch(root, f"Session{session}/dialog/wav/{dialogue}.wav")
    return clips


MOSEI_VALUES = np.array(
    # sentiment, happy, sad, anger, surprise, disgust, fear
    [[1, 2 / 3, 0, 0, 0, 0, 0], [-2, 0, 1, 1 / 3, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0], [-3, 0, 0, 0, 1, 2, 3]],
    np.float32,
)
MOSEI_LABELS = ("Happy", "Sad;Angry", "(none)", "Surprise;Disgust;Fear")


def mosei(root: Path, kind: str = "segmented") -> Clips:
    """CMU-MOSEI: four sentences of each of seven videos, of which one is in no fold; the first one is not in order."""
    split_of = {"-3g5yACwYnA": "train", "0Fb_3": "train", "81406": "train", "v4": "val", "v5": "test", "v6": "test"}
    clips: Clips = {}
    touch(root, *(f"Raw/Videos/Full/Combined/{video}.mp4" for video in (*split_of, "lost")))
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "w") as file:
        for video in (*split_of, "lost"):
            group = file.create_group(f"All Labels/data/{video}")
            group["features"] = MOSEI_VALUES
            group["intervals"] = np.array([[10.5, 14.25], [2.125, 9], [20, 21.333], [14.25, 20]], np.float32)
            spoken = ((3, "10.5000", "14.25"), (0, "2.125", "9"), (7, "20", "21.333"), (4, "14.25", "20.0"))
            lines = [f"{video}___{number}___{start}___{end}___Well ___ yes." for number, start, end in spoken]
            write(root, f"Raw/Transcript/Segmented/Combined/{video}.txt", *lines, f"{video}___9___30___31___No label.")
            touch(root, *(f"Raw/Videos/Segmented/Combined/{video}_{n}.mp4" for n in (0, 3, 4, 7, 9)))
            for (number, start, _), label in zip(spoken, MOSEI_LABELS, strict=True):
                clip = f"{video}_{number}" if kind == "segmented" else f"{video}_at_{float(start):.3f}"
                name = f"Segmented/Combined/{clip}" if kind == "segmented" else f"Full/Combined/{video}"
                if video in split_of:
                    clips[clip] = (f"Raw/Videos/{name}.mp4", split_of[video], label, video)
    folds = {"train": "train", "valid": "val", "test": "test"}
    lists = [f"standard_{name}_fold={[v for v, s in split_of.items() if s == split]}" for name, split in folds.items()]
    write(root, "cmu_mosei_std_folds.py", *lists)
    return clips


MER_CLASSES = ("Neutral", "Angry", "Happy", "Sad", "Worried", "Surprise")


def mer(root: Path, release: int = 2023) -> Clips:
    """MER: 18 training clips and six in each test list; of 2024, 18 clips with a label, and one without."""
    clips: Clips = {}
    folders = {"train": 18, "test1": 6, "test2": 6, "test3": 6} if release == 2023 else {"video-labeled": 18}
    for folder, count in folders.items():
        has_valence = folder in ("train", "test1", "test2")
        rows = ["name,discrete,valence" if has_valence else "name,discrete"]
        for number in range(count):
            name, label = f"{folder[0]}{folder[-1]}_{number:08d}", MER_CLASSES[number % 6]
            rows.append(f"{name},{label.lower()}{f',{number / 8 - 1}' if has_valence else ''}")
            path = f"{folder}/{name}.{'avi' if release == 2023 else 'mp4'}"
            touch(root, path)
            clips[name] = (path, "test" if folder.startswith("test") else DRAWN, label, "")
        write(root, f"{folder}-label.csv" if release == 2023 else "label-disdim.csv", *rows)
    if release != 2023:
        touch(root, "video-unlabeled/sample_1.mp4")
    return clips
