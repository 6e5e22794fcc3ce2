"""Recipes: one small file per producer that says how its checkpoints are known and read."""

from typing import Any

from app.checkpoint.recipes.caliper import CALIPER, NATIVE
from app.checkpoint.recipes.cleanrl import CLEANRL
from app.checkpoint.recipes.generic import GENERIC
from app.checkpoint.recipes.keyed import RL_GAMES, RSL_RL, SAMPLE_FACTORY, SKRL
from app.checkpoint.recipes.pickled_module import PICKLED_MODULE
from app.checkpoint.recipes.recipe import Recipe
from app.checkpoint.recipes.sb3 import SB3

RECIPES: tuple[Recipe, ...] = (
    CALIPER,
    NATIVE,
    SB3,
    RSL_RL,
    RL_GAMES,
    SAMPLE_FACTORY,
    SKRL,
    CLEANRL,
    PICKLED_MODULE,
    GENERIC,
)
"""All recipes, the most certain first; the last one takes anything."""


def recipe_for(root: Any) -> Recipe:
    """The first recipe that recognises the tree."""
    return next(recipe for recipe in RECIPES if recipe.recognise(root))
