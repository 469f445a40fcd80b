"""Problems of any settings by their dotted keys: what names a class of a union is no part of a key."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, model_validator

from trainer.config.problems import InvalidConfig, Problem, checked, refusal
from trainer.values import Settings, kind_of, kinds, named


class Cat(Settings):
    name: Literal["cat"] = "cat"
    lives: int = Field(9, le=9)


class Collar(Settings):
    cat: str = "a field of this name"
    width: float = 1.0


class Dog(Settings):
    name: Literal["dog"] = "dog"
    collar: Collar = Collar()
    friend: Cat | None = None


AnyPet = Annotated[Cat | Dog, Field(discriminator="name")]


class Home(Settings):
    pet: AnyPet = Cat()
    guest: AnyPet | None = None
    others: tuple[AnyPet, ...] = ()
    from_: str | None = Field(None, alias="from", min_length=1)
    rooms: int = 1

    @model_validator(mode="after")
    def _have_room(self) -> "Home":
        if self.rooms < len(self.others):
            raise refusal([Problem("rooms", "too few"), Problem("others", "too many")])
        return self


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ({"pet.name": "cat", "pet.lives": 10}, ["pet.lives"]),
        ({"pet": {"name": "dog", "collar.width": "wide"}}, ["pet.collar.width"]),
        ({"pet": {"name": "dog", "collar.cat": 3}}, ["pet.collar.cat"]),
        ({"pet": {"name": "dog", "friend.lives": 10}}, ["pet.friend.lives"]),
        ({"guest": {"name": "cat", "lives": "many"}}, ["guest.lives"]),
        ({"others": [{"name": "cat"}, {"name": "dog", "collar": {"width": "x"}}]}, ["others.1.collar.width"]),
        ({"others": [{"name": "cow"}]}, ["others.0.name"]),
        ({"pet.legs": 4}, ["pet.name"]),
        ({"pet": {"name": "cat", "legs": 4}}, ["pet.legs"]),
        ({"from": ""}, ["from"]),
        ({"from_": "x"}, ["from_"]),
        ({"others": [{"name": "cat"}] * 2}, ["rooms", "others"]),
    ],
    ids=str,
)
def test_a_key_is_the_place_that_a_user_wrote(values: dict[str, Any], keys: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        checked(Home, values)
    assert [problem.key for problem in caught.value.problems] == keys


def test_what_a_union_holds() -> None:
    fields = Home.model_fields
    assert kinds(AnyPet) == kinds(fields["pet"].annotation) == kinds(fields["guest"].annotation) == (Cat, Dog)
    assert kinds(Dog.model_fields["friend"].annotation) == (Cat,)
    assert kinds(fields["rooms"].annotation) == kinds(fields["others"].annotation) == ()
    assert [named(kind_of(each), kinds(AnyPet)) for each in (Cat, Dog)] == [Cat, Dog]
    assert named("cow", kinds(AnyPet)) is None
    assert named(["cat"], kinds(AnyPet)) is None
