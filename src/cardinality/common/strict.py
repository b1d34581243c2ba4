"""The base of everything that a YAML file may say."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Strict(BaseModel):
    """A mapping whose keys and types must be the stated ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def first_problem(error: ValidationError, *within: str) -> str:
    """The first thing that is wrong, as ``key.key: what``, with the keys that lead there first.

    Where a model looks at several keys together, its own words name them.
    """
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, (*within, *first["loc"])))
    what = first["msg"].removeprefix("Value error, ")
    return f"{key}: {what}" if key else what
