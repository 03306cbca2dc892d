"""What ``provenance.json`` of a result folder must hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clustem.core import InputError
from clustem.core.contents import check_axes

FORMAT = 1
_FINITE = Field(allow_inf_nan=False)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _AnAxis(_Part):
    kind: Literal["UniformDataAxis", "DataAxis"] = Field("UniformDataAxis", alias="_type")
    name: str | None = None
    units: str | None = None
    navigate: bool = False
    is_binned: bool = False
    size: Annotated[int, Ge(1)] = 1
    scale: Annotated[float, _FINITE] = 1.0
    offset: Annotated[float, _FINITE] = 0.0
    axis: list[Annotated[float, _FINITE]] | None = None


class _AStep(_Part):
    stage: str
    name: str
    parameters: dict[str, Any] = {}
    masks: dict[str, str] = {}
    found: dict[str, Any] = {}
    version: str = ""
    seed: int | None = None
    seconds: float = 0.0
    note: str = ""


class _AFit(_Part):
    number: list[Annotated[int, Ge(0), Le(32767)]]
    purity: list[Annotated[float, Ge(0), Le(1)]]
    described: dict[str, Any] = {}


class Provenance(_Part):
    """The content of ``provenance.json``, checked; arrays and maps lie in other files."""

    format: Literal[1]
    input: dict[str, str]
    packages: dict[str, str]
    python: str
    platform: str
    history: list[_AStep]
    scores: dict[str, float]
    unassigned_fraction: Annotated[float, Ge(0), Le(1)]
    names: dict[Annotated[str, Field(pattern=r"^\d{1,6}$")], str]
    color_index: list[Annotated[int, Ge(0), Le(65535)]]
    feature_names: list[str]
    about: list[dict[str, Any]]
    title: str
    axes: list[_AnAxis]
    recipe_digest: str = ""
    fitted: _AFit | None = None


def checked(content: Any) -> Provenance:
    """Check what was read from ``provenance.json``.

    Raises
    ------
    InputError
        If it is of another format, of several results, or a field is missing, unknown or broken.
    """
    if not isinstance(content, dict):
        raise _broken("", f"{type(content).__name__} instead of named fields")
    if content.get("format") != FORMAT:
        raise InputError(
            f"A result folder must have format {FORMAT}",
            got=str(content.get("format", "none, as those of version 0.1"))[:60],
            cure="Run the recipe in it again with this version of Clustem.",
        )
    if content.get("kind") in ("study", "joint"):
        raise InputError(
            "This must be the result of one scan or image",
            got="several in one folder",
            cure="Load them with clustem.load(...), or name one of the folders in it.",
        )
    check_axes(content.get("axes"), "provenance.json")
    try:
        return Provenance.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        got = repr(first["input"])[:60] if first["type"] != "missing" else "nothing"
        raise _broken(where, f"{got} ({first['msg']})") from None


def _broken(where: str, got: str) -> InputError:
    return InputError(
        f"provenance.json must hold what Clustem writes{f' as {where}' if where else ''}",
        got=got,
        cure="Run the recipe in the folder again.",
    )
