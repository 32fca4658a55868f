"""The two domains, the two directions between them, and pairs of things in both."""

from __future__ import annotations

from typing import Generic, Literal, NamedTuple, TypeVar

from medcyclegan.errors import InputError

Domain = Literal["a", "b"]
Direction = Literal["a_to_b", "b_to_a"]

DOMAINS: tuple[Domain, Domain] = ("a", "b")
DIRECTIONS: tuple[Direction, Direction] = ("a_to_b", "b_to_a")

T = TypeVar("T")


class Pair(NamedTuple, Generic[T]):
    """One thing in each domain: `fake.a` is an image in domain a, made from one in b."""

    a: T
    b: T


def target_domain(direction: Direction) -> Domain:
    """Return the domain that `direction` leads into."""
    return "b" if direction == "a_to_b" else "a"


def direction_into(name: str, names: Pair[str]) -> Direction:
    """Return the direction that leads into the domain users call `name`.

    Args:
        name: a domain's name as given in the config, for example "noncontrast".
        names: the names of domains a and b.

    Raises:
        InputError: neither domain has that name.
    """
    if name == names.b:
        return "a_to_b"
    if name == names.a:
        return "b_to_a"
    raise InputError(
        f"no domain {name!r} to translate into: this model knows {names.a!r} and {names.b!r}"
    )
