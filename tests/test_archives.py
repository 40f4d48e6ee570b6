"""An archive of records and a table of their properties become one table."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile

import pytest

from molvae.archives import join

TABLE = '\ufefffilename,LCD,note,PLD\na,1.5,"x, y",2\nb,3,,\n'.encode()


def packed(files: dict[str, bytes]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as archive:
        folder = tarfile.TarInfo("cifs")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    out.seek(0)
    return out


def test_every_file_has_its_row() -> None:
    out = io.BytesIO()
    files = {"cifs/a.cif": b"data_a\n'one', \"two\"\n", "cifs/b.cif": b"data_b\n\xff", "cifs/c.cif": b""}
    assert join(packed(files), io.BytesIO(TABLE), ["PLD", "LCD"], out, text_column="cif") == 3
    rows = list(csv.reader(io.StringIO(gzip.decompress(out.getvalue()).decode())))
    assert rows == [
        ["name", "cif", "PLD", "LCD"],
        ["a", "data_a\n'one', \"two\"\n", "2", "1.5"],
        ["b", "data_b\n\ufffd", "", "3"],
        ["c", "", "", ""],
    ]


def test_the_same_data_give_the_same_bytes() -> None:
    found = [io.BytesIO(), io.BytesIO()]
    for out in found:
        join(packed({"a.cif": b"data_a"}), io.BytesIO(TABLE), ["LCD"], out, text_column="cif")
    assert found[0].getvalue() == found[1].getvalue()


def test_wrong_data_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no column 'ASA'.*it has filename, LCD, note, PLD"):
        join(packed({}), io.BytesIO(TABLE), ["ASA"], io.BytesIO(), text_column="cif")
    with pytest.raises(tarfile.TarError):
        join(io.BytesIO(b"no archive at all"), io.BytesIO(TABLE), ["LCD"], io.BytesIO(), text_column="cif")
