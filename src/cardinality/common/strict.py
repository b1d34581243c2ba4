"""The base of everything that a YAML file may say."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A mapping whose keys and types must be the stated ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
