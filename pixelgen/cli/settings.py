"""Settings: a variable PIXELGEN_… counts more than the file config.toml, an option more than both.

Only the command line has them; the Python API does what its arguments say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pixelgen.checkpoints import (
    DEFAULT_FACE_WEIGHTS,
    DEFAULT_PIXEL_WEIGHTS,
    DEFAULT_REDRAWING_WEIGHTS,
    DEFAULT_WEIGHTS,
)
from pixelgen.cli.terminal import Colours
from pixelgen.errors import PixelgenError, UsageError, did_you_mean
from pixelgen.files import MAX_PIXELS, expanded, read_file
from pixelgen.toml import parse_toml

FILE_VARIABLE = "PIXELGEN_CONFIG"
"""Names another file than that in the platform's folder."""
Origin = Literal["variable", "file", "default"]
"""Where a value comes from."""

_PREFIX = "PIXELGEN_"
_MANY = 10**12
_LARGEST = 2**20
_DRAWING = ("sample", "portrait", "interpolate", "reconstruct", "complete")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Setting:
    """Something that can be set once for all."""

    key: str
    """Its name in the file: `name`, or `command.name`."""
    help: str
    """What it decides."""
    read: Callable[[Any], Any]
    """The value that a text, or a value of TOML, means; raises ValueError that says what it must
    be."""
    default: Any = None
    """Its value where it is not set; None: there is none."""
    commands: tuple[str, ...] = ()
    """The commands whose option it is the default of; none: that of `pixelgen` itself."""

    @property
    def option(self) -> str:
        """The parameter that it is the default of."""
        return self.key.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """The variable of the environment."""
        return _PREFIX + self.key.upper().replace(".", "_")


@dataclass(frozen=True)
class Value:
    """What a setting is."""

    setting: Setting
    value: Any
    origin: Origin
    where: str
    """The variable, or the file; empty for a default."""

    def __str__(self) -> str:
        return "" if self.value is None else shown(self.value)


def shown(value: Any) -> str:
    """A value as one writes it in the file, but for quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(given: Any) -> int:
        try:
            value = None if isinstance(given, bool | float) else int(given)
        except (TypeError, ValueError):
            value = None
        if value is None or not low <= value <= high:
            upper = f" to {high}" if high < _MANY else " or more"
            raise ValueError(f"a whole number, {low}{upper}")
        return value

    return read


def _yes_or_no(given: Any) -> bool:
    text = str(given).strip().casefold()
    if text not in _TRUE + _FALSE:
        raise ValueError("true or false")
    return text in _TRUE


def _one_of(*known: str) -> Callable[[Any], str]:
    def read(given: Any) -> str:
        if given not in known:
            raise ValueError(" or ".join((", ".join(known[:-1]), known[-1])))
        return str(given)

    return read


def _device(given: Any) -> str:
    from pixelgen.pipelines.devices import check_device_name

    try:
        check_device_name(str(given))
    except PixelgenError as error:
        raise ValueError(error.hint) from None
    return str(given)


def _folder(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ValueError("a folder")
    return str(expanded(given)).rstrip("/") + os.sep


def _weights(given: Any) -> str:
    if not isinstance(given, str) or not given.strip() or not given.isprintable():
        raise ValueError("a bundled name, a folder, or a Hub id owner/name")
    return given


def _of_weights(command: str, default: str | None, what: str) -> Setting:
    return Setting(f"{command}.weights", f"Weights {what}.", _weights, default, (command,))


SETTINGS = {
    setting.key: setting
    for setting in (
        Setting(
            "device",
            "auto, cpu, cuda, cuda:N or mps.",
            _device,
            "auto",
            (*_DRAWING, "score", "encode", "decode", "evaluate", "batch"),
        ),
        Setting("threads", "Processor threads; unset: as many as torch likes.", _whole(1, 1024)),
        Setting(
            "batch_size",
            "Pictures worked on side by side; more need more memory.",
            _whole(1, 4096),
            32,
            (*_DRAWING, "score"),
        ),
        Setting(
            "output",
            "Folder of pictures that no -o names; unset: the one you are in.",
            _folder,
            None,
            (*_DRAWING, "decode"),
        ),
        Setting("scale", "Enlarge for viewing.", _whole(1, 64), 1, (*_DRAWING, "decode")),
        Setting("live", "See pictures grow on a terminal.", _yes_or_no, True, _DRAWING),
        Setting("color", "auto, always or never.", _one_of(*get_args(Colours)), "auto"),
        Setting("offline", "Use only what is on this computer.", _yes_or_no, False),
        Setting(
            "max_pixels",
            "Pixels of the largest picture that is read.",
            _whole(1, _MANY),
            MAX_PIXELS,
        ),
        _of_weights("sample", DEFAULT_WEIGHTS, "that draw classes"),
        _of_weights("portrait", DEFAULT_FACE_WEIGHTS, "that draw portraits"),
        _of_weights("interpolate", None, "for ways; unset: faces64, of classes imagenet64"),
        _of_weights("reconstruct", DEFAULT_REDRAWING_WEIGHTS, "that draw pictures anew"),
        _of_weights("complete", DEFAULT_PIXEL_WEIGHTS, "that fill holes"),
        _of_weights("score", DEFAULT_PIXEL_WEIGHTS, "that measure surprise"),
        _of_weights("encode", DEFAULT_WEIGHTS, "with a tokenizer"),
    )
}
"""All settings by key. What changes what is drawn, such as seed or temperature, is none of them:
the same command line shall mean the same pictures."""


def find_setting(key: str) -> Setting:
    """The setting with this key. Raises PixelgenError (exit code 2) where there is none."""
    plain = key.strip().casefold().replace("-", "_")
    if plain in SETTINGS:
        return SETTINGS[plain]
    if plain.rpartition(".")[2] in ("token", "hf_token"):
        raise UsageError(
            "a token is no setting, so that it never lies in a file of ours",
            "`hf auth login`, or HF_TOKEN",
        )
    raise UsageError(f"no setting {key!r}{_near(plain)}", "`pixelgen config` lists them")


def _near(key: str) -> str:
    """Did you mean …?, if only the table is wrong, or a few letters are."""
    last = key.rpartition(".")[2]
    same = [known for known in SETTINGS if known.rpartition(".")[2] == last]
    return f", did you mean {same[0]}?" if same else did_you_mean(key, SETTINGS)


def config_file() -> Path:
    """The file of settings, which need not exist."""
    if named := os.environ.get(FILE_VARIABLE):
        return expanded(named)
    import platformdirs

    return platformdirs.user_config_path("pixelgen", appauthor=False) / "config.toml"


def read_table(path: Path) -> dict[str, Any]:
    """What the file says, by key, unchecked; nothing where there is no file. Raises PixelgenError
    (exit code 2) for what cannot be read."""
    if str(path) == os.devnull:
        return {}
    try:
        found = parse_toml(read_file(path, _LARGEST))
    except FileNotFoundError:
        return {}
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        why = f"no TOML: {error}"
    else:
        return _flat(found)
    raise UsageError(f"cannot read the settings {path}: {why}")


def _flat(found: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in found.items():
        inner = {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {}
        values |= inner or {name: value}
    return values


def in_file(path: Path) -> dict[str, Value]:
    """The settings in the file. Raises PixelgenError (exit code 2) for what makes no sense."""
    found: dict[str, Value] = {}
    for name, given in read_table(path).items():
        if given == {}:
            continue  # a table without anything in it
        try:
            setting = find_setting(name)
        except PixelgenError as error:
            raise UsageError(f"{path}: {error.message}", error.hint) from None
        found[setting.key] = check(setting, given, "file", str(path))
    return found


def in_environment() -> dict[str, Value]:
    """The settings in variables. Raises PixelgenError (exit code 2) for what makes no sense."""
    given = {s: os.environ.get(s.variable) for s in SETTINGS.values()}
    return {s.key: check(s, text, "variable", s.variable) for s, text in given.items() if text}


def check(setting: Setting, given: Any, origin: Origin, where: str) -> Value:
    """`given` as a value of the setting. Raises PixelgenError (exit code 2) where it is none."""
    try:
        return Value(setting, setting.read(given), origin, where)
    except ValueError as error:
        what = f"{where}: {setting.key}" if origin == "file" else where
        says = str(given)[:60]
        raise UsageError(f"{what} must be {error}, not {says!r}") from None


def settings() -> dict[str, Value]:
    """All that is set. Raises PixelgenError (exit code 2) for what makes no sense."""
    return in_file(config_file()) | in_environment()


def all_settings() -> dict[str, Value]:
    """All settings, set or not, in order. Raises as `settings` does."""
    found = settings()
    return {k: found.get(k, Value(s, s.default, "default", "")) for k, s in SETTINGS.items()}


def unknown_variables() -> list[str]:
    """What to say of variables that look like one of ours and are none."""
    names = [FILE_VARIABLE, *(setting.variable for setting in SETTINGS.values())]
    known = [name.removeprefix(_PREFIX) for name in names]
    ours = {name.removeprefix(_PREFIX) for name in os.environ if name.startswith(_PREFIX)}
    # Programs around us may have variables of their own that begin so.
    found = {name: did_you_mean(name, known, _PREFIX) for name in sorted(ours.difference(known))}
    return [f"{_PREFIX}{name} is no setting{near}" for name, near in found.items() if near]


def defaults_of(command: str, found: Mapping[str, Value]) -> dict[str, Any]:
    """What is set, by parameters of a command; of `pixelgen` itself, if its name is empty."""
    values = {}
    for each in found.values():
        concerned = each.setting.commands
        if (command in concerned) if command else not concerned:
            values[each.setting.option] = each.value
    if values.get("live"):
        del values["live"]  # which is what happens without; the option insists
    return values
