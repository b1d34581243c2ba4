"""A YAML file read and checked against what it may say.

A mistake in a file ends in one line with the file, the key, what is wrong and what is allowed.
"""

import json
import re
from collections.abc import Hashable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cardinality.common.errors import UserError
from cardinality.common.files import read_text
from cardinality.common.strict import Strict
from cardinality.common.text import line
from cardinality.experiment import based_on

LARGEST_FILE = 100_000  # bytes; the largest of the suite's own, claims.yaml, has 13,000
LONGEST_KEY = 100


# What every reader takes for the same number or word, whether it reads YAML 1.1 or 1.2.
PLAIN = re.compile(
    r"[-+]?(0|[1-9][0-9]{0,17})"
    r"|[-+]?([0-9]{1,30}\.[0-9]{0,30}|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?"
    r"|[-+]?[0-9]{1,30}[eE][-+]?[0-9]{1,3}"
    r"|true|True|TRUE|false|False|FALSE|null|Null|NULL|~|"
)
# 1.2 has a number of its own, 1.1 has times and words that 1.2 does not have; digits that are no
# plain number (064, 1_000, 5,000 of them) are read in as many ways as there are readers.
OTHERWISE = re.compile(
    r"[-+]?0o[0-7_]+|[-+]?0[0-9_]+|[-+]?0x[0-9a-f_]+|[-+]?0b[01_]+|[-+]?[0-9][0-9_]*"
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+]?\.(inf|nan)|y|n|yes|no|on|off|=|<<",
    re.IGNORECASE,
)
# Control characters but for line ends and tabs, halves of characters, and turns of direction.
UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
# What ends a line in YAML 1.1 alone.
BREAKS = "\u0085\u2028\u2029"


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses what two readers would read differently; it reads 1e-4 as a number.

    Aliases, tags, repeated keys, and characters that nobody sees are refused as well.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _problem_at(event, "aliases are not allowed")
        if getattr(event, "tag", None) is not None:
            raise _problem_at(event, f"a tag ({event.tag}); allowed: values without")
        if isinstance(event, yaml.ScalarEvent):
            if UNSEEN.search(event.value):
                raise _problem_at(event, "a text has control characters; allowed: printable ones")
            if event.implicit[0] and self._is_ambiguous(event.value):
                raise _problem_at(
                    event,
                    f"{line(event.value, 40)!r} is read differently by YAML 1.1 and 1.2; allowed:"
                    " a number like 64 or 0.5, true or false, or a text in quotes",
                )
        return super().compose_node(parent, index)

    def _is_ambiguous(self, value: str) -> bool:
        if PLAIN.fullmatch(value):
            return False
        kind = self.resolve(yaml.ScalarNode, value, (True, False))
        return bool(OTHERWISE.fullmatch(value)) or kind != "tag:yaml.org,2002:str"

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str" or len(key.value) > LONGEST_KEY:
                raise yaml.MarkedYAMLError(
                    problem="a key is no word; allowed: names as keys", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _problem_at(event: yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type] # of either parser


# YAML 1.1 wants a dot and a sign in a number with an exponent and reads 1e-4 as text; YAML 1.2 and
# whoever writes it do not.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)

Model = TypeVar("Model", bound=Strict)


def load(path: Path, model: type[Model], bases: str | None = None) -> Model:
    """Read and check one YAML file.

    Args:
        path: the file.
        model: what it must say.
        bases: the kind of file that it may be `based_on` (`cardinality.common.workspace.find`);
            None where it may not.

    Raises:
        UserError: in one line, with the file, the key, what is wrong and what is allowed.
    """

    def read(file: Path) -> dict[str, Any]:
        return _read(file, model)

    links = [(path, read(path))] if bases is None else based_on.chain(path, bases, read)
    content = based_on.merge(links)
    try:
        # By way of JSON, where pydantic's strict mode still takes a list for a tuple.
        return model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        keys, message = _validation_problem(error, model)
        told = [line(".".join(keys), LONGEST_KEY)] if keys else []
        where = ": ".join([str(based_on.origin(links, keys)), *told])
        raise UserError(f"{where}: {message}") from None


def names_of_chain(path: Path, kind: str, model: type[BaseModel]) -> list[str]:
    """The name of a file, and of those that it is based on.

    Raises:
        UserError: as for `load`.
    """
    return [link.stem for link, _ in based_on.chain(path, kind, lambda file: _read(file, model))]


def _read(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """The keys and values of one file."""
    text = read_text(path, LARGEST_FILE)
    if any(letter in text for letter in BREAKS):
        raise UserError(
            f"{path}: has a character that ends a line in YAML 1.1 and none in 1.2 (U+0085, U+2028"
            " or U+2029); allowed: ordinary line ends"
        )
    try:
        content = _parsed(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise UserError(f"{path}: {_yaml_problem(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected keys and values; allowed keys: {_keys(model)}")
    return dict(content)


@lru_cache(maxsize=128)
def _parsed(text: str) -> Any:
    """What stands in a text, which nobody changes; pages of all scales read each file often."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 -- a SafeLoader made stricter


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return line(error, 200) or type(error).__name__


def _keys(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)


def _validation_problem(error: ValidationError, model: type[BaseModel]) -> tuple[list[str], str]:
    """The keys that lead to the first problem, and the problem in one line with how many more.

    Unknown keys come first: a misspelt key is also a missing one, and the cause says more.
    """
    problems = error.errors(include_url=False)
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    first = _of_what_was_meant(problems)
    owner, keys = _follow(model, first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"unknown key; allowed: {_keys(owner)}"
    elif first["type"] == "missing":
        message = f"is missing; allowed keys: {_keys(owner)}"
    elif first["type"] == "too_short":
        message = "is an empty list; allowed: at least one item"
    elif first["type"] == "too_long":
        limits = first["ctx"]
        message = f"has {limits['actual_length']} items; allowed: at most {limits['max_length']}"
    elif keys:
        message = message[:1].lower() + message[1:]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return keys, " ".join(f"{message}{more}".split())


def _of_what_was_meant(problems: Sequence[ErrorDetails]) -> ErrorDetails:
    """The first problem; where a number or a mapping is allowed and a mapping given, the mapping's.

    Pydantic tries both, and its location says which: the mapping's problem lies further in.
    """
    first = problems[0]
    place = next((n for n, part in enumerate(first["loc"]) if _is_kind(part)), None)
    if place is None:
        return first
    same = [each for each in problems if each["loc"][:place] == first["loc"][:place]]
    return max(same, key=lambda each: len(each["loc"]))


def _is_kind(part: int | str) -> bool:
    """Whether a part of a location names what kind of thing is wrong, and no key of the file."""
    return isinstance(part, str) and part.startswith(("constrained-", "dict[", "literal[", "[key]"))


def _follow(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[type[BaseModel], list[str]]:
    """The model that holds the last part of a location, and the location as keys of the file.

    Pydantic's location of a key within a union also has the tag that told its members apart.
    """
    keys: list[str] = []
    owner, candidates = model, [model]
    for part in location:
        tagged = [candidate for candidate in candidates if part in _tags(candidate)]
        if tagged and len(candidates) > 1:
            owner = tagged[0]
            candidates = tagged
            continue
        if _is_kind(part):
            continue
        keys.append(str(part))
        if isinstance(part, str) and candidates:
            owner = candidates[0]
            field = owner.model_fields.get(part)
            candidates = _models_in(field.annotation) if field is not None else []
    return owner, keys


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    """The values of ``name`` that select this member of a union."""
    field = model.model_fields.get("name")
    return get_args(field.annotation) if field is not None else ()
