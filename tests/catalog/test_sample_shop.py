"""The invented products: how many, how different, and how careless their sellers are."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from catalog.sample.drawing import CATEGORIES, COLORS
from catalog.sample.shop import ProductSpec, shop_specs
from catalog.sample.vocabulary import ADJECTIVES, AUDIENCES, BRANDS, NOISE, vocabulary_of


@pytest.fixture(scope="module")
def specs() -> list[ProductSpec]:
    return shop_specs(seed=0, products=1200)


def test_a_shop_has_its_products_and_categories(specs):
    assert len({spec.product_id for spec in specs}) == 1200
    per_label = Counter(spec.label for spec in specs)
    assert len(per_label) == len(CATEGORIES) >= 24
    assert set(per_label.values()) == {1200 // len(CATEGORIES)}
    assert all(spec.look.category == spec.label for spec in specs)


def test_no_two_products_of_a_category_share_all_attributes(specs):
    seen = Counter(
        (spec.label, spec.look.shape, spec.look.color, spec.look.material, spec.look.pattern) for spec in specs
    )
    assert max(seen.values()) == 1


def test_looks_are_what_their_category_can_draw(specs):
    for spec in specs:
        choices = CATEGORIES[spec.label]
        assert spec.look.shape in choices.shapes
        assert spec.look.material in choices.materials
        assert spec.look.pattern in choices.patterns
        assert spec.look.color in COLORS
        assert re.fullmatch(r"#[0-9a-f]{6}", spec.look.color_hex)
        assert len(spec.look.jitter) == 8
        assert all(0 <= value < 1 for value in spec.look.jitter)


def test_a_smaller_shop_is_the_beginning_of_a_larger_one(specs):
    assert shop_specs(seed=0, products=70) == specs[:70]
    assert shop_specs(seed=1, products=70) != specs[:70]


def test_about_four_percent_stand_in_a_wrong_category(specs):
    wrong = sum(spec.category_path != vocabulary_of(spec.label).path for spec in specs)
    assert 0.02 * 1200 <= wrong <= 0.06 * 1200
    for label in CATEGORIES:
        paths = Counter(spec.category_path for spec in specs if spec.label == label)
        assert paths.most_common(1)[0][0] == vocabulary_of(label).path


def test_category_paths_have_two_or_three_levels_and_differ():
    paths = [vocabulary_of(label).path for label in CATEGORIES]
    assert len(set(paths)) == len(paths)
    assert {len(path.split(" > ")) for path in paths} <= {2, 3}


def _letters(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def _without_model(title: str) -> str:
    return re.sub(r"\b[A-Z]{2}-\d+", "", title)


def test_about_six_percent_of_titles_are_misspelled(specs):
    """Whatever is no word of the vocabulary is a slip; some slips make another word, and model numbers have digits."""
    fixed = _letters(" ".join((*BRANDS, *ADJECTIVES, *NOISE, *AUDIENCES, *COLORS, "with")))
    slips = 0
    for spec in specs:
        words, choices = vocabulary_of(spec.label), CATEGORIES[spec.label]
        known = fixed | _letters(" ".join((*words.nouns, *words.features, *words.sizes)))
        known |= _letters(" ".join((*choices.shapes, *choices.materials, *choices.patterns)))
        slips += not _letters(_without_model(spec.title)) <= known
    assert 0.04 * 1200 <= slips <= 0.08 * 1200


def test_words_repeat_enough_to_learn_from(specs):
    titles = [_letters(_without_model(spec.title)) for spec in specs]
    counts = Counter(word for title in titles for word in title)
    tokens = sum(counts.values())
    assert sum(count for count in counts.values() if count > 5) > 0.9 * tokens
    assert len([word for word, count in counts.items() if count > 5]) > 200


def test_descriptions_and_prices_are_plausible(specs):
    assert 0.05 * 1200 <= sum(not spec.description for spec in specs) <= 0.11 * 1200
    for spec in specs:
        low, high = vocabulary_of(spec.label).prices
        assert low - 1 <= spec.price <= high + 1
        assert spec.description.count(". ") <= 2
        assert not spec.description or spec.description.endswith(".")
        assert spec.title == spec.title.strip()
        assert "  " not in spec.title


def test_every_category_has_words_of_its_own():
    assert all(len(vocabulary_of(label).nouns) > 2 for label in CATEGORIES)
    assert vocabulary_of("kite").path == "More > Kite"
