"""How people write classes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelgen.cli.errors import exit_code_of
from pixelgen.errors import PixelgenError
from pixelgen.labels import (
    ClassCatalogue,
    imagenet,
    imagenet_catalogue,
    imagenet_groups,
    imagenet_indices,
    parse_classes,
    search,
)


def test_the_table() -> None:
    classes = imagenet()
    assert len(classes) == len({c.wnid for c in classes}) == 1000
    assert [c.index for c in classes] == list(range(1000))
    assert (classes[207].wnid, classes[207].names) == ("n02099601", ("golden retriever",))


@pytest.mark.parametrize(
    ("spec", "indices"),
    [
        ("207", [207]),
        ("207-210", [207, 208, 209, 210]),
        ("0..2", [0, 1, 2]),
        ("N02099601", [207]),
        (" Golden_RETRIEVER ", [207]),
        ("jack o lantern", [607]),
        ("Carassius auratus", [1]),
    ],
)
def test_parse(spec: str, indices: list[int]) -> None:
    assert parse_classes([spec]) == indices


def test_every_class_can_be_named() -> None:
    for c in imagenet():
        assert parse_classes([c.wnid]) == [c.index]
        named = {tuple(parse_classes([n], trained=[c.index])) for n in c.names}
        assert named == {(c.index,)}


def test_an_ambiguous_name_means_the_one_that_was_trained() -> None:
    with pytest.raises(PixelgenError, match="ambiguous"):
        parse_classes(["panda"])
    assert parse_classes(["panda"], trained=[5, 388]) == [388]
    with pytest.raises(PixelgenError, match="ambiguous"):
        parse_classes(["panda"], trained=[387, 388])


@settings(deadline=None)  # the first call reads the classes
@given(st.text(max_size=20))
def test_any_text_is_a_class_or_one_error(text: str) -> None:
    code = 0
    try:
        assert all(0 <= i < 1000 for i in parse_classes([text]))
    except PixelgenError as error:
        code = exit_code_of(error)
    assert code in (0, 2)


def test_nearest_and_search() -> None:
    assert 207 in [c.index for c in imagenet_catalogue().nearest("retriver")]
    assert imagenet_catalogue().nearest("zzz") == []
    assert [c.index for c in search("panda", among=[388, 1500])] == [388]
    assert search("1500", among=[388, 1500]) == []
    assert search("犬") == search("?!") == []
    assert len(search("")) == 1000


def test_rows() -> None:
    rows_of = imagenet_catalogue().rows_of
    assert rows_of([207, 8], [8, 207], "w") == [1, 0]
    with pytest.raises(PixelgenError, match="w was not trained on class 9 ostrich; it knows 2"):
        rows_of([9], [8, 207], "w")
    with pytest.raises(PixelgenError, match="takes no class"):
        rows_of([9], [], "w")


OWN = ClassCatalogue.named([0, 2, 5], ["Hot Dog", "pizza", "鮨"])


@pytest.mark.parametrize(
    ("spec", "indices"),
    [("pizza", [2]), ("hot-dog", [0]), ("鮨", [5]), ("5", [5]), ("0-5", [0, 2, 5])],
)
def test_a_data_set_has_classes_of_its_own(spec: str, indices: list[int]) -> None:
    assert OWN.parse([spec]) == indices


def test_what_is_not_among_own_classes_lists_them() -> None:
    for wrong in ("golden retriever", "n02099601", "1", "0-4", "1-2"):
        with pytest.raises(PixelgenError, match="there are: 0 Hot Dog, 2 pizza, 5 鮨") as caught:
            OWN.parse([wrong])
        assert exit_code_of(caught.value) == 2
    assert [c.index for c in OWN.search("p")] == [2]
    assert [c.index for c in OWN.nearest("pizzza")] == [2]
    assert (OWN.name(5), OWN.name(7)) == ("鮨", "class 7")
    many = ClassCatalogue.named(range(40), [f"kind {i}" for i in range(40)])
    with pytest.raises(PixelgenError, match="classes are 0 to 39"):
        many.parse(["40"])


def test_names_of_data_are_exact_before_they_are_anything_else() -> None:
    names = ["1", "10", "2", "1-2", "c", "C++", "C", "a b", "a\tb", "?", "!"]
    own = ClassCatalogue.named(range(len(names)), names)
    assert [own.find(name) for name in names] == [*range(len(names))]
    assert own.find("7") == 7  # a number, as for labels without names
    assert own.find("A B") is None
    assert own.parse(["1", "10", "1-2", "C++", "C", "c", "a\tb", "?"]) == [0, 1, 3, 5, 6, 4, 8, 9]
    assert own.parse([1, 2, "0", "2-4"]) == [1, 2, 0, 2, 3, 4]  # the text of pictures has numbers
    assert [c.index for c in own.search("2")] == [2]
    assert [c.index for c in own.search("1-2")] == [1, 2, 3]
    for ambiguous in ("A B", "ab"):
        with pytest.raises(PixelgenError, match="ambiguous"):
            own.parse([ambiguous])


def test_names_of_ilsvrc_are_known() -> None:
    every = imagenet()
    assert imagenet_indices(["n02099601", "n01440764"]) == [207, 0]
    assert imagenet_indices([", ".join(c.names) for c in every]) == list(range(1000))
    assert imagenet_indices([c.names[0] for c in every]) == list(range(1000))
    for names in ([], ["n02099601", "pizza"], ["tench", "goldfish"], [str(i) for i in range(1000)]):
        assert imagenet_indices(names) is None


def test_groups_are_those_of_wordnet() -> None:
    groups = {group.names[0]: group for group in imagenet_groups()}
    assert groups["dog"].indices == tuple(range(151, 269))
    assert groups["dog"].wnid == "n02084071"
    assert all(
        2 <= len(g.indices) < 1000 and {*g.indices} < {*range(1000)} for g in groups.values()
    )
    every = imagenet_catalogue()
    assert every.group("Dog") == every.group("n02084071") == list(range(151, 269))
    assert every.group("domestic dog", [207, 281]) == [207]
    assert {705, 407} <= {*every.group("car")}, "trains and automobiles"
    assert every.group("golden retriever") == every.group("7") == every.group("") == []
    assert [c.index for c in every.search("dog", range(205, 208))] == [205, 206, 207]


def test_a_group_is_no_class() -> None:
    with pytest.raises(PixelgenError, match="'dog' is a group of 118 classes: 151 Chihuahua, 152"):
        parse_classes(["dog"])
    assert parse_classes(["dog"], trained=[8, 207]) == [207], "but where only one is known"
    assert parse_classes(["crane"], trained=[134]) == [134]


def test_only_classes_that_weights_know_are_suggested() -> None:
    with pytest.raises(
        PixelgenError, match="no class 'golden retrievr', the nearest are: 207"
    ) as e:
        parse_classes(["golden retrievr"], trained=[8, 207])
    assert "199" not in e.value.message


def test_the_kinds_of_a_group() -> None:
    catalogue = imagenet_catalogue()
    assert catalogue.kinds("Dog", [8, 151, 207], "w") == [151, 207]
    assert catalogue.kinds("lion", [8, 151, 207], "w") == []
    assert catalogue.kinds("hen", [8, 151], "w") == catalogue.kinds("207", [8], "w") == []
    with pytest.raises(PixelgenError, match="w was trained on none of the 118 classes of"):
        catalogue.kinds("dog", [8], "w")
