"""Finding media files below a folder: by their suffixes and, where these say nothing, by their first bytes.

Decoding decides what a file gives; here it is only taken for a clip or an image. What is not taken is counted.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from emopipe.core.errors import CorpusError
from emopipe.core.options import Options
from emopipe.core.text import escape_text
from emopipe.corpora.signatures import HEAD, kind_of
from emopipe.media.frame_folders import Frames, frames_among, sound_beside, sound_in

LOGGER = logging.getLogger(__name__)

# fmt: off
VIDEO: frozenset[str] = frozenset({
    ".264", ".265", ".266", ".3g2", ".3gp", ".3gpp", ".amv", ".apv", ".asf", ".av1", ".avc", ".avi", ".avs2", ".avs3",
    ".bik", ".bmv", ".cavs", ".cdxl", ".cgi", ".dav", ".dif", ".divx", ".drc", ".dv", ".dvr-ms", ".evc", ".evo", ".f4p",
    ".f4v", ".flm", ".flv", ".gxf", ".h261", ".h263", ".h264", ".h265", ".h266", ".h26l", ".hevc", ".ifv", ".ipu",
    ".ism", ".isma", ".ismv", ".ivf", ".ivr", ".kux", ".lxf", ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2",
    ".mjpeg", ".mjpg", ".mk3d", ".mkv", ".mods", ".moflex", ".mov", ".mp4", ".mp4v", ".mpe", ".mpeg", ".mpg", ".mpv",
    ".mqv", ".mts", ".mvi", ".mxf", ".nsv", ".nut", ".nuv", ".obu", ".ogm", ".ogv", ".ogx", ".pdv", ".psp", ".qt",
    ".rcv", ".rm", ".rmvb", ".roq", ".ser", ".sga", ".smk", ".swf", ".thp", ".trp", ".ts", ".ty", ".ty+", ".usm",
    ".vc1", ".viv", ".vivo", ".vob", ".vro", ".vvc", ".webm", ".wm", ".wmv", ".wtv", ".xmv", ".y4m", ".yop",
})
AUDIO: frozenset[str] = frozenset({
    ".722", ".8svx", ".aa", ".aa3", ".aac", ".aax", ".ac3", ".ac4", ".adp", ".ads", ".adts", ".adx", ".aea", ".afc",
    ".aif", ".aifc", ".aiff", ".aix", ".amr", ".apc", ".ape", ".apl", ".aptx", ".aptxhd", ".ast", ".au", ".awb",
    ".bcstm", ".bfstm", ".binka", ".bonk", ".brstm", ".c2", ".caf", ".dff", ".dfpwm", ".dsf", ".dss", ".dtk", ".dts",
    ".dtshd", ".eac3", ".ec3", ".f4a", ".f4b", ".flac", ".fsb", ".g722", ".g723_1", ".g728", ".g729", ".genh", ".gsm",
    ".hca", ".iamf", ".ircam", ".lc3", ".loas", ".m2a", ".m4a", ".m4b", ".m4p", ".m4r", ".mac", ".mca", ".mka", ".mlp",
    ".mmf", ".mp1", ".mp2", ".mp3", ".mpa", ".mpc", ".msbc", ".mtaf", ".musx", ".nist", ".nsp", ".oga", ".ogg", ".oma",
    ".omg", ".opus", ".osq", ".paf", ".pvf", ".qcp", ".qoa", ".ra", ".rco", ".rf64", ".rka", ".rsd", ".rso", ".sbc",
    ".sds", ".sdx", ".sf", ".shn", ".sln", ".snd", ".sox", ".sph", ".spx", ".ss2", ".svag", ".tak", ".tco", ".thd",
    ".tta", ".vag", ".voc", ".vqe", ".vqf", ".vql", ".w64", ".wav", ".wave", ".weba", ".wma", ".wsd", ".wv", ".xvag",
    ".xwma",
})
IMAGE: frozenset[str] = frozenset({
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".hdr", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pfm",
    ".pgm", ".pic", ".png", ".pnm", ".ppm", ".pxm", ".ras", ".sr", ".tif", ".tiff", ".webp",
})
SIDECARS: frozenset[str] = frozenset({
    # text, tables and documents
    ".asc", ".bib", ".cfg", ".conf", ".csv", ".doc", ".docx", ".eaf", ".htm", ".html", ".ini", ".json", ".jsonl",
    ".lab", ".lablaut", ".log", ".lst", ".md", ".md5", ".nfo", ".ods", ".odt", ".pdf", ".ppt", ".pptx", ".rst", ".rtf",
    ".sha1", ".sha256", ".textgrid", ".toml", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml",
    # subtitles and playlists
    ".ass", ".cue", ".idx", ".lrc", ".m3u", ".m3u8", ".pls", ".sami", ".scc", ".smi", ".srt", ".ssa", ".sub", ".ttml",
    ".vtt", ".xspf",
    # numbers, networks, code and archives
    ".7z", ".arff", ".bz2", ".c", ".cpp", ".db", ".gz", ".h", ".h5", ".hdf5", ".ipynb", ".js", ".m", ".mat", ".npy",
    ".npz", ".parquet", ".pkl", ".pt", ".pth", ".py", ".r", ".rar", ".safetensors", ".sh", ".sqlite", ".tar", ".tgz",
    ".xz", ".zip",
    # images that OpenCV does not read
    ".cr2", ".dng", ".heic", ".heif", ".ico", ".nef", ".psd", ".svg",
})
"""What stands beside clips and is none: these files are counted, but not opened."""
# fmt: on

KINDS: dict[str, str] = {
    **dict.fromkeys(SIDECARS, "sidecar"),
    **dict.fromkeys(IMAGE, "image"),
    **dict.fromkeys(AUDIO, "audio"),
    **dict.fromkeys(VIDEO, "video"),
}
"""Suffix -> what it says of a file. Other suffixes say nothing."""
SYSTEM_FOLDERS = frozenset(
    {"__macosx", "@eadir", "lost+found", "$recycle.bin", "#recycle", "#snapshot", "system volume information"}
)
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
"""Names, in lower case, of what systems leave in folders. It is passed over, as hidden files and folders are."""
SYSTEM = SYSTEM_FOLDERS | SYSTEM_FILES


IsClip = Callable[[str, Frames], bool]
"""Returns whether a folder, which holds these frames, is a clip."""


class FileOptions(Options):
    """Which files below the corpus folder are used."""

    omit_folders: list[str] = []  # noqa: RUF012 - pydantic copies defaults
    """Folders below the corpus folder whose files are not used, such as a second copy of the corpus. Default: none."""


@dataclass
class Taken:
    """The files below a folder by kind, and what is none."""

    found: dict[str, list[str]] = field(default_factory=lambda: {"video": [], "audio": [], "image": []})
    """Kind -> paths."""
    others: Counter[str] = field(default_factory=Counter)
    """Suffix -> number of the files that are neither video, sound nor image."""
    frames: dict[str, str] = field(default_factory=dict)
    """Folder of frames -> its sound file, or ""; none unless they were asked for."""
    example: str = ""
    """The first of these by name, of a suffix that says nothing if there is one."""

    def add_other(self, path: str, suffix: str) -> None:
        """Count a file that is not taken."""
        if not self.example or (suffix in KINDS, path) < (_suffix(self.example) in KINDS, self.example):
            self.example = path
        self.others[suffix] += 1

    def paths(self, kinds: Collection[str]) -> list[Path]:
        """Return the files of some kinds, sorted."""
        return _sorted(path for kind in kinds for path in self.found[kind])

    def report(self, folder: Path, kinds: Collection[str]) -> None:
        """Log how many files are of no wanted kind, by suffix; a warning if one is not known to stand beside clips."""
        others = self.others.copy()
        for kind in {"video", "audio", "image"} - set(kinds):
            others.update(map(_suffix, self.found[kind]))
        if not others:
            return
        unwanted = (path for kind, paths in self.found.items() if kind not in kinds for path in paths)
        example = self.example or min(unwanted)
        level = logging.INFO if all(map(KINDS.get, others)) else logging.WARNING
        LOGGER.log(
            level,
            "%s: %s not taken for %s: %s, such as %s.",
            folder,
            "1 file was" if others.total() == 1 else f"{others.total()} files were",
            "stills" if tuple(kinds) == ("image",) else "clips",
            counts(others),
            escape_text(example.removeprefix(f"{folder}/")),
        )


def counts(suffixes: Counter[str]) -> str:
    """Return how many files have which suffix, the most frequent first.

    >>> counts(Counter({".xyz": 2, "": 1, ".txt": 10}))
    '10 .txt, 2 .xyz, 1 without a suffix'
    """
    ordered = sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in ordered)


def clip_files(folder: Path, kinds: Collection[str] = ("video", "audio"), omit: Collection[str] = ()) -> list[Path]:
    """Return the clips at any depth below a folder, sorted; what is not taken is logged in one line.

    Hidden files and what systems leave in folders are passed over. Links to folders are followed, but not in circles.

    Args:
        folder: Where to search.
        kinds: video, audio or image.
        omit: Folders below it that are passed over (`FileOptions.omit_folders`).

    Raises:
        CorpusError: A folder cannot be read, or one to omit does not exist.
    """
    taken = look(folder, omit)
    taken.report(folder, kinds)
    return taken.paths(kinds)


def look(folder: Path, omit: Collection[str] = (), is_clip: IsClip | None = None) -> Taken:
    """Return all files below a folder by kind: of a known suffix, or else by their first bytes.

    Args:
        folder: Where to search.
        omit: Folders below it that are passed over.
        is_clip: Whether a folder of frames is a clip: then its images and its sound are not taken by themselves. None:
            there are no such clips.

    Raises:
        CorpusError: A folder cannot be read, or one to omit does not exist.
    """
    taken, images = Taken(), []
    for here, names in _folders(folder, _omitted(folder, omit)):
        frames = frames_in(names) if is_clip is not None else None
        inside = {*frames.names} if frames is not None and is_clip(here, frames) else set()
        if inside:
            taken.frames[here] = ""
            images.append((here, [os.path.join(here, name) for name in names if name in inside]))
        for path in (os.path.join(here, name) for name in names if name not in inside):
            suffix = _suffix(path)
            kind = KINDS.get(suffix) or _kind_by_content(path)
            if kind in taken.found:
                taken.found[kind].append(path)
            else:
                taken.add_other(path, suffix)
    _join_sounds(taken, images)
    return taken


def _join_sounds(taken: Taken, images: list[tuple[str, list[str]]]) -> None:
    """Give folders of frames their sounds. Those beside a video of their name are not clips, but made of it."""
    videos = {os.path.splitext(path)[0] for path in taken.found["video"]}
    for folder, frames in images:
        if folder in videos:
            del taken.frames[folder]
            taken.found["image"] += frames
    beside: dict[str, list[str]] = {}
    for path in taken.found["audio"] if taken.frames else ():
        beside.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    for folder in taken.frames:
        above, name = os.path.split(folder)
        inside = sound_in(beside.get(folder, []))
        outside = sound_beside(name, sound_in(beside.get(above, [])))
        taken.frames[folder] = (
            os.path.join(folder, inside[0]) if inside else os.path.join(above, outside) if outside else ""
        )
    used = {*taken.frames.values()}
    taken.found["audio"] = [path for path in taken.found["audio"] if path not in used]


def frames_in(names: Collection[str]) -> Frames | None:
    """Return the frames among the names of a folder's files; None if other images, videos or sounds are among them.

    At most one sound file may be there. What is not known by its suffix does not matter.
    """
    shown = [name for name in names if not is_hidden(name)]
    kinds = [KINDS.get(_suffix(name), "") for name in shown]
    if kinds.count("image") < 2 or "video" in kinds or kinds.count("audio") > 1:
        return None
    frames = frames_among(shown)
    return frames if frames is not None and len(frames.names) == kinds.count("image") else None


def media_files(folder: Path, extensions: Collection[str]) -> list[Path]:
    """Return all files with one of the extensions at any depth, sorted; see `clip_files` for what is passed over.

    Args:
        folder: Where to search.
        extensions: Such as ".mp4", in lower case; files may have them in any case.

    Raises:
        CorpusError: A folder cannot be read.
    """
    return _sorted(path for path in _walk(folder, frozenset()) if _suffix(path) in extensions)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or is something that systems leave in folders."""
    return name.startswith((".", "~$")) or name.casefold() in SYSTEM


def is_sound(path: Path) -> bool:
    """Return whether a file is sound alone, by its suffix or else by its first bytes."""
    return (KINDS.get(path.suffix.lower()) or _kind_by_content(str(path))) == "audio"


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _sorted(paths: Collection[str] | Iterator[str]) -> list[Path]:
    # The order of paths, without their slow comparison.
    return sorted(map(Path, paths), key=lambda path: path.parts)


def _walk(folder: Path, omitted: Collection[str]) -> Iterator[str]:
    """Yield the paths of all files that are not hidden."""
    for here, names in _folders(folder, omitted):
        for name in names:
            yield os.path.join(here, name)


def _folders(folder: Path, omitted: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder with the names of its files; hidden ones are passed over."""
    for here, folders, names in os.walk(folder, onerror=_refuse_unreadable, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if not is_hidden(name)
            and not _is_circular(Path(here), name)
            and not (omitted and os.path.join(here, name) in omitted)
        ]
        yield here, [name for name in names if not is_hidden(name)]


def _omitted(folder: Path, omit: Collection[str]) -> frozenset[str]:
    paths = frozenset(os.path.normpath(folder / name) for name in omit)
    absent = [name for name in omit if not (folder / name).is_dir()]
    if absent:
        raise CorpusError(
            f"The corpus option omit_folders names {absent[0]!r}, which is not a folder in {folder}. Correct it: "
            "folders are relative to the corpus folder."
        )
    return paths


def _kind_by_content(path: str) -> str:
    """Return the kind of a file by its first bytes; "" if it cannot be read, or is a pipe or device."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        return kind_of(os.read(file, HEAD))
    except OSError:
        return ""
    finally:
        os.close(file)


def _refuse_unreadable(error: OSError) -> None:
    raise CorpusError(
        f"The folder {error.filename} cannot be read ({error.strerror}). Make it readable, then run again."
    ) from error


def _is_circular(here: Path, name: str) -> bool:
    """Return whether a folder is a link to one of the folders that contain it."""
    path = here / name
    if not path.is_symlink():
        return False
    target = path.resolve()
    return any(folder.resolve().is_relative_to(target) for folder in (here, *here.parents))
