"""The standard library is read the same way everywhere, without tests and installed packages."""

from pathlib import Path

import pytest

from training.data import pysource
from training.data.pysource import is_held_out, read_standard_library
from training.errors import DataError


def library(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_installed_packages_tests_and_tables_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pysource, "_SMALLEST_CORPUS_BYTES", 1)
    root = library(
        tmp_path,
        {
            "ast.py": b"a = 1\n",
            "json/decoder.py": b"b = 2\n",
            "json/tests/test_decoder.py": b"c\n",
            "test/test_ast.py": b"c\n",
            "site-packages/numpy/core.py": b"c\n",
            "encodings/cp437.py": b"c\n",
            "config-3.11-x86_64-linux-gnu/make.py": b"c\n",
            "_sysconfigdata__linux.py": b"c\n",
            "latin.py": "# é\n".encode("latin-1"),
            "empty.py": b"",
            "data.txt": b"c\n",
        },
    )
    corpus = read_standard_library(root)
    names = [document.name for document in (*corpus.train, *corpus.held_out)]
    assert sorted(names) == ["ast.py", "json/decoder.py"]


def test_a_file_is_on_one_side_whatever_else_there_is() -> None:
    names = [f"package{index}/module.py" for index in range(2000)]
    share = sum(is_held_out(name) for name in names) / len(names)
    assert 0.04 < share < 0.09
    assert [is_held_out("abc.py"), is_held_out("zipfile.py")] == [False, False]


def test_this_interpreters_library_is_split_without_overlap() -> None:
    corpus = read_standard_library()
    train, held_out = ({d.name for d in side} for side in (corpus.train, corpus.held_out))
    assert len(train) > 200
    assert len(held_out) > 10
    assert not train & held_out
    assert "argparse.py" in train | held_out
    assert corpus.sha256() == read_standard_library().sha256()


def test_interpreter_without_sources_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data"):
        read_standard_library(library(tmp_path, {"ast.py": b"a = 1\n"}))
