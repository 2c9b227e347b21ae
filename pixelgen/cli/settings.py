"""Settings: default values of options, from the file config.toml and from variables PIXELGEN_….

A variable overrides the file, an option on the command line overrides both. The Python API reads
neither.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pixelgen.checkpoints import (
    DEFAULT_COMPLETION_WEIGHTS,
    DEFAULT_FACE_WEIGHTS,
    DEFAULT_PIXEL_WEIGHTS,
    DEFAULT_RECONSTRUCTION_WEIGHTS,
    DEFAULT_WEIGHTS,
)
from pixelgen.cli.terminal import Colours
from pixelgen.errors import PixelgenError, UsageError, did_you_mean, harmless
from pixelgen.files import MAX_PIXELS, expanded, read_file
from pixelgen.jobs.registry import DRAWING_JOBS as DRAWING
from pixelgen.toml import parse_toml

FILE_VARIABLE = "PIXELGEN_CONFIG"
"""The variable that names another file than the one in the platform's folder."""
Origin = Literal["variable", "file", "default"]
"""Where a value comes from."""

_PREFIX = "PIXELGEN_"
_UNBOUNDED = 10**12
_MAX_FILE_BYTES = 2**20
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Setting:
    """The default value of an option, which users can change."""

    key: str
    """Its name in the file: `name`, or `command.name`."""
    help: str
    parse: Callable[[Any], Any]
    """From a string or a TOML value to the value; raises ValueError that says what is valid."""
    default: Any = None
    """The value if it is not set; None: no value."""
    commands: tuple[str, ...] = ()
    """The commands that have the option; empty: every command."""

    @property
    def option(self) -> str:
        """Name of the parameter."""
        return self.key.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return _PREFIX + self.key.upper().replace(".", "_")


@dataclass(frozen=True)
class Value:
    """The current value of a setting."""

    setting: Setting
    value: Any
    origin: Origin
    where: str
    """Name of the variable or path of the file; empty for a default."""

    def __str__(self) -> str:
        return "" if self.value is None else shown(self.value)


def shown(value: Any) -> str:
    """A value as in the file, without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def parse(raw: Any) -> int:
        try:
            value = None if isinstance(raw, bool | float) else int(raw)
        except (TypeError, ValueError):
            value = None
        if value is None or not low <= value <= high:
            upper = f" to {high}" if high < _UNBOUNDED else " or more"
            raise ValueError(f"a whole number, {low}{upper}")
        return value

    return parse


def _boolean(raw: Any) -> bool:
    text = str(raw).strip().casefold()
    if text not in _TRUE + _FALSE:
        raise ValueError("true or false")
    return text in _TRUE


def _choice(*choices: str) -> Callable[[Any], str]:
    def parse(raw: Any) -> str:
        if raw not in choices:
            raise ValueError(" or ".join((", ".join(choices[:-1]), choices[-1])))
        return str(raw)

    return parse


def _device(raw: Any) -> str:
    from pixelgen.pipelines.devices import check_device_name

    try:
        check_device_name(str(raw))
    except PixelgenError as error:
        raise ValueError(error.hint) from None
    return str(raw)


def _folder(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("a folder")
    return str(expanded(raw)).rstrip("/") + os.sep


def _weights(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip() or raw != harmless(raw):
        raise ValueError("a bundled name, a folder, or a Hub id owner/name")
    return raw


def _weights_of(command: str, default: str | None, unset: str = "") -> Setting:
    text = f"Weights of `{command}`{unset}."
    return Setting(f"{command}.weights", text, _weights, default, (command,))


SETTINGS = {
    setting.key: setting
    for setting in (
        Setting(
            "device",
            "Device to compute on: auto, cpu, cuda, cuda:N or mps.",
            _device,
            "auto",
            (*DRAWING, "again", "score", "encode", "decode", "evaluate", "batch"),
        ),
        Setting(
            "threads",
            "Number of processor threads; unset: torch decides, 1 for small networks.",
            _integer(1, 1024),
        ),
        Setting(
            "batch_size",
            "Pictures in a batch; more need more memory.",
            _integer(1, 4096),
            32,
            (*DRAWING, "again", "score"),
        ),
        Setting(
            "output",
            "Folder for pictures without -o; unset: the current one.",
            _folder,
            None,
            (*DRAWING, "again", "decode"),
        ),
        Setting(
            "scale",
            "Enlarge pictures by this factor.",
            _integer(1, 64),
            1,
            (*DRAWING, "decode"),
        ),
        Setting(
            "live",
            "Show pictures in the terminal while drawing.",
            _boolean,
            True,
            (*DRAWING, "again"),
        ),
        Setting(
            "color",
            "When to use colours: auto, always or never.",
            _choice(*get_args(Colours)),
            "auto",
        ),
        Setting("offline", "Use only files on this computer, no network.", _boolean, False),
        Setting(
            "max_pixels",
            "Read pictures of at most this many pixels.",
            _integer(1, _UNBOUNDED),
            MAX_PIXELS,
        ),
        _weights_of("sample", DEFAULT_WEIGHTS),
        _weights_of("portrait", DEFAULT_FACE_WEIGHTS),
        _weights_of("interpolate", None, "; unset: faces64, between classes imagenet64"),
        _weights_of("reconstruct", DEFAULT_RECONSTRUCTION_WEIGHTS),
        _weights_of("complete", DEFAULT_COMPLETION_WEIGHTS),
        _weights_of("score", DEFAULT_PIXEL_WEIGHTS),
        _weights_of("encode", DEFAULT_WEIGHTS),
    )
}
"""All settings by key. Seed, temperature and whatever else changes the pictures cannot be set, so
that a command line means the same pictures everywhere."""


def find_setting(key: str) -> Setting:
    """The setting with this key. Raises UsageError if there is none."""
    normal = key.strip().casefold().replace("-", "_")
    if normal in SETTINGS:
        return SETTINGS[normal]
    if normal.rpartition(".")[2] in ("token", "hf_token"):
        raise UsageError(
            "a token is not a setting, so that pixelgen never stores it",
            "`hf auth login`, or HF_TOKEN",
        )
    raise UsageError(f"no setting {key!r}{_suggestion(normal)}", "`pixelgen config` lists them")


def _suggestion(key: str) -> str:
    """`, did you mean …?` for a wrong table or a misspelt key."""
    option = key.rpartition(".")[2]
    same = [known for known in SETTINGS if known.rpartition(".")[2] == option]
    return f", did you mean {same[0]}?" if same else did_you_mean(key, SETTINGS)


def config_file() -> Path:
    """The path of the settings file, which need not exist."""
    if named := os.environ.get(FILE_VARIABLE):
        return expanded(named)
    import platformdirs

    return platformdirs.user_config_path("pixelgen", appauthor=False) / "config.toml"


def read_file_values(path: Path) -> dict[str, Any]:
    """The values in the file by key, unchecked; none if there is no file. Raises UsageError if it
    cannot be read."""
    if str(path) == os.devnull:
        return {}
    try:
        document = parse_toml(read_file(path, _MAX_FILE_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:
        reason = f"not TOML: {error}"
    else:
        return _flatten(document)
    raise UsageError(f"cannot read the settings {path}: {reason}")


def _flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in document.items():
        inner = {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {}
        values |= inner or {name: value}
    return values


def from_file(path: Path) -> dict[str, Value]:
    """The settings in the file. Raises UsageError for unknown keys and invalid values."""
    values: dict[str, Value] = {}
    for name, raw in read_file_values(path).items():
        if raw == {}:
            continue  # an empty table
        try:
            setting = find_setting(name)
        except PixelgenError as error:
            raise UsageError(f"{path}: {error.message}", error.hint) from None
        values[setting.key] = parse_value(setting, raw, "file", str(path))
    return values


def from_environment() -> dict[str, Value]:
    """The settings in environment variables. Raises UsageError for invalid values."""
    return {
        key: parse_value(setting, text, "variable", setting.variable)
        for key, setting in SETTINGS.items()
        if (text := os.environ.get(setting.variable))
    }


def parse_value(setting: Setting, raw: Any, origin: Origin, where: str) -> Value:
    """Parse the value of a setting. Raises UsageError if it is invalid."""
    try:
        return Value(setting, setting.parse(raw), origin, where)
    except ValueError as error:
        name = f"{where}: {setting.key}" if origin == "file" else where
        raise UsageError(f"{name} must be {error}, not {str(raw)[:60]!r}") from None


def read_settings() -> dict[str, Value]:
    """Every setting that is set, by key. Raises UsageError for invalid settings."""
    return from_file(config_file()) | from_environment()


def all_settings() -> dict[str, Value]:
    """Every setting, set or not, in order. Raises as `read_settings` does."""
    values = read_settings()
    return {k: values.get(k, Value(s, s.default, "default", "")) for k, s in SETTINGS.items()}


def unknown_variables() -> list[str]:
    """A warning for every environment variable that looks like a misspelt setting."""
    known = [FILE_VARIABLE, *(setting.variable for setting in SETTINGS.values())]
    suffixes = [name.removeprefix(_PREFIX) for name in known]
    unknown = sorted(n for n in os.environ if n.startswith(_PREFIX) and n not in known)
    near = {n: did_you_mean(n.removeprefix(_PREFIX), suffixes, _PREFIX) for n in unknown}
    # Other programs may use variables with this prefix: those unlike any setting are ignored.
    return [
        f"{name} is not a setting{suggestion}" for name, suggestion in near.items() if suggestion
    ]


def defaults_of(command: str, values: Mapping[str, Value]) -> dict[str, Any]:
    """The default values that are set, by parameter of a command; those of every command, if the
    name is empty."""
    defaults = {
        value.setting.option: value.value
        for value in values.values()
        if (command in value.setting.commands if command else not value.setting.commands)
    }
    if defaults.get("live"):
        del defaults["live"]  # the same as without; the option itself raises where it cannot be
    return defaults
