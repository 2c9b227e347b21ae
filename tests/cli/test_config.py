"""Settings: options over variables over the file; `pixelgen config`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image

from pixelgen.cli import run as cli_run
from pixelgen.cli import settings
from pixelgen.cli.app import COMMANDS, app
from pixelgen.cli.progress import SamplingDisplay
from pixelgen.cli.settings import SETTINGS
from pixelgen.imaging import png_text
from pixelgen.jobs.batch_jobs import read_jobs

from .conftest import Run


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where settings are kept; it is not there yet, nor is its folder."""
    path = tmp_path / "settings" / "config.toml"
    monkeypatch.setenv("PIXELGEN_CONFIG", str(path))
    return path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, "utf-8")


def test_every_setting_is_the_default_of_an_option() -> None:
    root = typer.main.get_command(app)
    context = root.make_context("pixelgen", [], resilient_parsing=True)
    names = {
        name: {p.name for p in root.get_command(context, name).params}  # type: ignore[attr-defined]
        for name in COMMANDS
    }
    for setting in SETTINGS.values():
        for name in setting.commands:
            assert setting.option in names[name], (setting.key, name)
        if not setting.commands:
            assert setting.option in {p.name for p in root.params}
        assert setting.default is None or setting.parse(setting.default) == setting.default
        if setting.option in ("scale", "live", "weights"):  # and no command is forgotten
            concerned = [s.commands for s in SETTINGS.values() if s.option == setting.option]
            having = {n for n in COMMANDS if setting.option in names[n]}
            # What `again` is not given is as in its picture.
            others = {"again"}
            if setting.option == "weights":
                others |= {"decode", "classes", "evaluate"}
            assert having - others == {n for names in concerned for n in names} - others


def test_options_over_variables_over_the_file(
    run: Run, file: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(*words: object) -> dict[str, object]:
        outcome = run("sample", "--weights", weights, "--force", "-o", "a.png", *words)
        assert outcome.code == 0, outcome.err
        return json.loads(png_text(Path("a.png"))["parameters"])

    assert drawn()["scale"] == 1
    write(file, "scale = 2\n")
    assert drawn()["scale"] == 2
    assert "[default: 2]" in run("sample", "--help").out
    monkeypatch.setenv("PIXELGEN_SCALE", "3")
    assert drawn()["scale"] == 3
    monkeypatch.setenv("PIXELGEN_SCALE", "")  # as if it were not there
    assert drawn()["scale"] == 2
    assert drawn("--scale", 4)["scale"] == 4


def test_again_draws_where_and_how_settings_say(
    run: Run, file: Path, weights: Path, tmp_path: Path
) -> None:
    assert run("sample", "--weights", weights, "--seed", 1, "-o", "a.png").code == 0
    write(file, f'output = "{(tmp_path / "pictures").as_posix()}"\n')
    (tmp_path / "pictures").mkdir()
    outcome = run("again", "a.png", "--weights", weights)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(str(tmp_path / "pictures"))


def test_a_batch_is_computed_on_its_own_device(run: Run, file: Path, weights: Path) -> None:
    settings = {"sample": {"device": "cpu", "scale": 2}}
    line = json.dumps({"command": "sample", "weights": str(weights)})
    (job,) = read_jobs(line.encode(), "jobs", settings)
    assert job.build(Path("out"), "cuda").device == "cuda"  # type: ignore[attr-defined]
    own = json.dumps({"command": "sample", "weights": str(weights), "device": "cpu"})
    (job,) = read_jobs(own.encode(), "jobs", settings)
    assert job.build(Path("out"), "cuda").device == "cpu"  # type: ignore[attr-defined]


def test_weights_of_each_command(
    run: Run, file: Path, weights: Path, pixel_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, f'[sample]\nweights = "{weights}"\n[score]\nweights = "{pixel_weights}"\n')
    assert json.loads(run("sample", "--json").out)["weights"] == "tiny"
    Image.new("RGB", (9, 9)).save("a.png")
    assert json.loads(run("score", "a.png", "--json").out)["weights"] == "pixels"
    monkeypatch.setenv("PIXELGEN_SAMPLE_WEIGHTS", str(pixel_weights))
    assert json.loads(run("sample", "--json").out)["weights"] == "pixels"
    assert json.loads(run("sample", "--json", "--weights", weights).out)["weights"] == "tiny"


def test_a_batch_is_not_run_again_for_other_settings(
    run: Run, file: Path, weights: Path, pixel_weights: Path
) -> None:
    Path("jobs.jsonl").write_text('{"command": "sample", "seed": 1}\n', "utf-8")
    for folder, done in ((weights, 1), (pixel_weights, 0)):
        write(file, f'[sample]\nweights = "{folder}"\n')
        outcome = run("batch", "jobs.jsonl", "-o", "out")
        assert (outcome.code, len(outcome.out.splitlines())) == (0, done), outcome.err


def test_the_folder_of_pictures(run: Run, file: Path, weights: Path) -> None:
    words = ["sample", "--weights", weights, "--seed", 1]
    Path("pictures").mkdir()
    assert run("config", "set", "output", "pictures").code == 0
    here = Path("pictures").resolve()
    assert run(*words).out == f"{here}/pixelgen-unconditional-s1.png\n"
    assert run(*words, "-o", ".").out == "pixelgen-unconditional-s1.png\n"
    here.joinpath("pixelgen-unconditional-s1.png").unlink()
    here.rmdir()
    assert run(*words).err == f"error: no folder {here}\n"


def test_not_seen_growing(
    run: Run, file: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class ProgressLine(SamplingDisplay):
        def __init__(self, live: bool, quiet: bool) -> None:
            seen.append(live)
            super().__init__(False, True)

    monkeypatch.setattr(cli_run, "SamplingDisplay", ProgressLine)
    monkeypatch.setattr(cli_run, "can_show_pictures", lambda: True)
    for value in ("true", "false"):
        monkeypatch.setenv("PIXELGEN_LIVE", value)
        assert run("sample", "--weights", weights).code == 0
    assert run("sample", "--weights", weights, "--live").code == 0
    assert seen == [True, False, True]


def test_offline(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    write(file, "offline = true\n")
    assert run("classes", "lion").code == 0
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_set_get_list_unset(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("config", "path").out == f"{file}\n"
    assert run("config", "get", "scale").out == "1\n"
    assert run("config", "get", "threads").err.startswith("error: threads is not set (")
    write(file, "# mine\ndevice = 'cpu' # always\n\n[sample]\nweights = 'imagenet32'\n")
    for key, value in (("scale", "4"), ("batch-size", "8"), ("score.weights", "owner/name@v1")):
        outcome = run("config", "set", key, value)
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert run("config", "set", "device", "cpu").code == 0
    assert run("config", "set", "offline", "yes").code == 0
    assert file.read_text("utf-8").startswith('# mine\ndevice = "cpu" # always\n')
    rows = {row["key"]: row for row in json.loads(run("config", "--json").out)}
    assert list(rows) == list(SETTINGS)
    assert (rows["scale"]["value"], rows["scale"]["origin"]) == (4, "file")
    assert (rows["batch_size"]["value"], rows["batch_size"]["where"]) == (8, str(file))
    assert rows["offline"]["value"] is True
    assert rows["score.weights"]["value"] == "owner/name@v1"
    assert rows["sample.weights"]["value"] == "imagenet32"
    assert rows["threads"] == {
        "key": "threads",
        "value": None,
        "origin": "default",
        "where": None,
        "default": None,
        "variable": "PIXELGEN_THREADS",
        "help": SETTINGS["threads"].help,
    }
    monkeypatch.setenv("PIXELGEN_DEVICE", "auto")
    lines = run("config").out.splitlines()
    assert [line.split()[0] for line in lines] == list(SETTINGS)
    assert lines[0].split() == ["device", "auto", "PIXELGEN_DEVICE"]
    assert run("config", "list").out.splitlines() == lines
    outcome = run("config", "set", "device", "cpu")
    assert outcome.err == "note: PIXELGEN_DEVICE is set too and overrides the file\n"
    for key in ("scale", "batch_size", "score.weights", "sample.weights", "offline", "device"):
        assert run("config", "unset", key).code == 0
    assert "note: scale was not set" in run("config", "unset", "scale").err
    assert file.read_text("utf-8").strip() == "# mine"


def test_other_spellings_in_the_file_are_changed_and_unset(run: Run, file: Path) -> None:
    write(file, "Scale = 4\nbatch-size = 3\n")
    assert run("config", "get", "scale").out == "4\n"
    for key in ("scale", "batch_size"):
        assert run("config", "set", key, "8").code == 0
    assert file.read_text("utf-8").split() == ["scale", "=", "8", "batch_size", "=", "8"]
    write(file, "SCALE = 4\n")
    outcome = run("config", "unset", "scale")
    assert (outcome.code, outcome.err, file.read_text("utf-8")) == (0, "", "")


def test_a_folder_of_weights_is_kept_whole(run: Run, file: Path, weights: Path) -> None:
    os.symlink(weights, "mine")
    assert run("config", "set", "sample.weights", "mine").code == 0
    assert run("config", "get", "sample.weights").out == f"{weights.resolve()}\n"


BAD = [
    (["config", "set", "scale", "99"], "scale must be a whole number, 1 to 64, not '99'"),
    (["config", "set", "scale", "2.5"], "scale must be a whole number"),
    (["config", "set", "threads", "0"], "threads must be a whole number, 1 to 1024"),
    (["config", "set", "max_pixels", "0"], "max_pixels must be a whole number, 1 or more"),
    (["config", "set", "device", "gpu"], "device must be auto, cpu, cuda, cuda:N or mps"),
    (["config", "set", "color", "red"], "color must be auto, always or never, not 'red'"),
    (["config", "set", "live", "perhaps"], "live must be true or false, not 'perhaps'"),
    (["config", "set", "output", " "], "output must be a folder, not ' '"),
    (["config", "set", "sample.weights", "nowhere"], "no weights called nowhere"),
    (["config", "set", "token", "hf_secret"], "a token is not a setting"),
    (["config", "set", "weights", "imagenet32"], "did you mean sample.weights?"),
    (["config", "set", "seed", "1"], "no setting 'seed'"),
    (["config", "set", "scale"], "Missing argument 'VALUE'"),
    (["config", "unset", "devcie"], "did you mean device?"),
    (["config", "--json", "get", "scale"], "config get … --json"),
]


@pytest.mark.parametrize(("words", "says"), BAD, ids=[" ".join(b[0][1:]) for b in BAD])
def test_bad_values_are_one_line_and_change_nothing(
    run: Run, file: Path, words: list[str], says: str
) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert outcome.err.count("\n") == 1
    assert "hf_secret" not in outcome.err
    assert not file.exists()


WRONG = [
    ("nonsense = 1\n", "FILE: no setting 'nonsense'"),
    ("devcie = 'cpu'\n", "FILE: no setting 'devcie', did you mean device?"),
    ("weights = 'imagenet32'\n", "did you mean sample.weights?"),
    ("[sample]\nscale = 2\n", "FILE: no setting 'sample.scale', did you mean"),
    ("scale = 'large'\n", "FILE: scale must be a whole number, 1 to 64, not 'large'"),
    ("scale = true\n", "scale must be a whole number"),
    ("scale = [1]\n", "scale must be a whole number"),
    ("[scale]\nx = 1\n", "no setting 'scale.x'"),
    ("scale =\n", "cannot read the settings FILE: not TOML: "),
    ("a" * 3 + "\xff", "cannot read the settings FILE: not TOML: "),
    ("token = 'hf_secret'\n", "FILE: a token is not a setting"),
]


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_a_file_that_makes_no_sense_is_one_line(run: Run, file: Path, text: str, says: str) -> None:
    file.parent.mkdir()
    file.write_bytes(text.encode("latin-1"))
    outcome = run("classes", "lion")
    assert (outcome.code, outcome.out) == (2, "")
    assert says.replace("FILE", str(file)) in outcome.err
    assert outcome.err.count("\n") == 1
    assert "hf_secret" not in outcome.err
    for words in (["--help"], ["classes", "--help"], ["--version"], ["config", "path"]):
        assert run(*words).code == 0


def test_what_is_no_file_is_not_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("large.toml").write_text("#" * 2**20 + "\n")
    for name, says in (
        (".", "it is a folder"),
        ("/dev/zero", "it is not a file"),
        ("large.toml", "it has more than 1 MiB"),
    ):
        monkeypatch.setenv("PIXELGEN_CONFIG", name)
        outcome = run("classes", "lion")
        assert outcome.code == 2
        assert outcome.err == f"error: cannot read the settings {name}: {says}\n"
    monkeypatch.setenv("PIXELGEN_CONFIG", os.devnull)
    assert run("classes", "lion").code == 0
    outcome = run("config", "set", "scale", 2)
    assert outcome.err == f"error: {os.devnull} is not a file (PIXELGEN_CONFIG=FILE)\n"
    assert not Path(os.devnull).is_file()


def test_what_is_wrong_can_be_taken_out(run: Run, file: Path) -> None:
    write(file, "nonsense = 1\nscale = 2\n[sample]\nsize = 3\n")
    for key in ("nonsense", "sample.size"):
        assert run("config", "unset", key).code == 0
    assert file.read_text("utf-8") == "scale = 2\n"


def test_variables_that_make_no_sense(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELGEN_SCALE", "large")
    outcome = run("classes", "lion")
    assert outcome.code == 2
    assert outcome.err == "error: PIXELGEN_SCALE must be a whole number, 1 to 64, not 'large'\n"
    monkeypatch.delenv("PIXELGEN_SCALE")
    monkeypatch.setenv("PIXELGEN_DEVCIE", "cpu")
    monkeypatch.setenv("PIXELGEN_VERSION", "1")  # others may have variables that begin so
    outcome = run("classes", "lion")
    assert outcome.code == 0
    assert outcome.err == "note: PIXELGEN_DEVCIE is not a setting, did you mean PIXELGEN_DEVICE?\n"
    assert run("classes", "lion", "-q").err == ""


def test_the_file_is_where_the_platform_keeps_settings(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PIXELGEN_CONFIG"}
    homes = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg"), "APPDATA": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "pixelgen", "config", "path"],
        env=environment | homes,
        capture_output=True,
        text=True,
        timeout=60,
    )
    path = Path(done.stdout.strip())
    assert (path.name, path.parent.name) == ("config.toml", "pixelgen")
    if sys.platform == "linux":
        assert path == tmp_path / "xdg" / "pixelgen" / "config.toml"


def test_a_folder_that_cannot_be_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("")
    monkeypatch.setenv("PIXELGEN_CONFIG", "file/config.toml")
    for words in (["config", "set", "scale", "2"], ["classes", "lion"]):
        outcome = run(*words)
        assert outcome.code in (1, 2)
        assert outcome.err.startswith("error: cannot ")
        assert outcome.err.count("\n") == 1


def test_python_does_not_look_at_settings(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    import pixelgen

    monkeypatch.setenv("PIXELGEN_DEVICE", "nonsense")
    assert pixelgen.load(weights).sample(seed=1)


def test_settings_are_spelt_one_way() -> None:
    for setting in SETTINGS.values():
        assert settings.find_setting(setting.key.replace("_", "-").upper()) is setting


def test_a_folder_of_pictures_is_no_file(run: Run) -> None:
    Path("a.png").touch()
    outcome = run("config", "set", "output", "a.png")
    assert (outcome.code, outcome.err) == (2, "error: a.png is not a folder\n")
