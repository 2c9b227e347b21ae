"""Nothing is unpickled: not what lies among weights, codes, pictures or data."""

from __future__ import annotations

import ast
import io
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest

import pixelgen

from .sandbox import Sandbox

PACKAGE = Path(pixelgen.__file__).parent
# They read what packages of others ship, which is no safetensors, with weights_only=True.
KNOWN = {"metrics/classifiers.py"}
NAMES = (
    *("pytorch_model.bin", "model.bin", "model.pt", "model.pth", "model.ckpt", "model.pkl"),
    *("data.pkl", "model.pickle", "model.npy", "model.npz", "tf_model.h5", "optimizer.pt"),
    *("state.pt", "__init__.py", "pixelgen.py", "conftest.py", "config.py", "modeling.py"),
    *("tokenizer.pkl", "embedder.pt", "autoencoder-7.safetensors", "training_args.bin"),
)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def bombs(mark: Path) -> dict[str, bytes]:
    """Pickles in all their wrappings."""
    import numpy as np
    import torch

    plain = pickle.dumps(Bomb(mark))
    archive, array = io.BytesIO(), io.BytesIO()
    torch.save(Bomb(mark), archive)
    np.save(array, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    code = f"import os; os.mkdir({str(mark)!r})\n".encode()
    return {"pickle": plain, "torch": archive.getvalue(), "numpy": array.getvalue(), "code": code}


def test_the_bombs_are_live(tmp_path: Path) -> None:
    import torch

    made = bombs(tmp_path / "mark")
    pickle.loads(made["pickle"])
    assert (tmp_path / "mark").is_dir()
    (tmp_path / "mark").rmdir()
    torch.load(io.BytesIO(made["torch"]), weights_only=False)
    assert (tmp_path / "mark").is_dir()


@pytest.mark.parametrize("wrapping", ["pickle", "torch", "numpy", "code"])
def test_beside_and_in_place_of_weights(wrapping: str, box: Sandbox) -> None:
    mark, folder = box.root / "mark", box.inputs / "broken" / "weights"
    content = bombs(mark)[wrapping]
    photo = box.inputs / "photo.png"
    for planted in ("beside", "model.safetensors", "config.json"):
        shutil.copytree(box.inputs / "tiny", folder)
        for name in NAMES if planted == "beside" else (*NAMES, planted):
            (folder / name).write_bytes(content)
        codes = (0,) if planted == "beside" else (1,)
        box.attempt("sample", "--class", "8", "--weights", folder, codes=codes)
        box.attempt("weights", "show", folder)
        box.attempt("weights", "verify", folder)
        box.attempt("score", photo, "--weights", folder)
        box.attempt("evaluate", folder, "--data", box.inputs / "pictures", "--limit", "1")
        if planted == "beside":  # one is where one was told to look
            shutil.copytree(folder, box.here, dirs_exist_ok=True)
            box.attempt("sample", "--class", "8", "--weights", ".", "--seed", "1", codes=(0,))
        shutil.rmtree(folder)
    assert not mark.exists()


@pytest.mark.parametrize("wrapping", ["pickle", "torch", "numpy", "code"])
def test_in_place_of_other_files(wrapping: str, box: Sandbox) -> None:
    mark, place = box.root / "mark", box.inputs / "broken" / "bomb"
    content = bombs(mark)[wrapping]
    place.write_bytes(content)
    for words in (
        ("score", place, "--weights", box.inputs / "pixels"),
        ("decode", place, "--weights", box.inputs / "coded"),
        ("batch", place, "-o", "out"),
        ("train", place, "-o", "run"),
    ):
        box.attempt(*words, codes=(1, 2, 3))
    box.attempt("config", env={"PIXELGEN_CONFIG": str(place)}, codes=(2,))
    place.unlink()
    for name in ("state.safetensors", "state.previous.safetensors"):
        run = box.inputs / "broken" / "run"
        run.mkdir()
        (run / name).write_bytes(content)
        box.attempt("export", run, "-o", "out", codes=(1,))
        box.attempt("train", box.inputs / "recipe.toml", "-o", run, "--resume", codes=(1, 2))
        shutil.rmtree(run)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", ["pkl", "pt", "pth", "npy", "npz", "py", "tar", "zip", "arrow"])
def test_among_data(suffix: str, box: Sandbox) -> None:
    mark, folder = box.root / "mark", box.inputs / "broken" / "data"
    folder.mkdir()
    kind = {"npy": "numpy", "pt": "torch", "pth": "torch", "py": "code"}.get(suffix, "pickle")
    content = bombs(mark)[kind]
    if suffix in ("zip", "npz"):
        with zipfile.ZipFile(folder / f"data.{suffix}", "w") as archive:
            archive.writestr("x.pkl", content)
    else:
        (folder / f"data.{suffix}").write_bytes(content)
        (folder / f"{folder.name}.{suffix}").write_bytes(content)  # a script of that name
    box.attempt("evaluate", box.inputs / "tiny", "--data", folder, codes=(1,))
    shutil.rmtree(folder)
    assert not mark.exists()


def test_no_code_unpickles() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [alias.name for alias in node.names]
                modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                bad = {"pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
                wrong += [f"{name} imports {m}" for m in modules if m.split(".")[0] in bad]
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            given = {key.arg: ast.unparse(key.value) for key in node.keywords}
            if called in ("torch.load", "load_state_dict_from_url"):
                if name not in KNOWN or given.get("weights_only") != "True":
                    wrong.append(f"{name} calls {called}")
            elif called in ("np.load", "numpy.load"):
                if given.get("allow_pickle", "False") != "False":
                    wrong.append(f"{name} calls {called} with allow_pickle")
            elif called in ("eval", "exec", "os.system", "pd.read_pickle"):
                wrong.append(f"{name} calls {called}")
    assert not wrong
