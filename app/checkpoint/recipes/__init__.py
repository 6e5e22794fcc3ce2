"""Recipes: one small file per producer that says how its checkpoints are known and read."""

from typing import Any

from app.checkpoint.recipes.caliper import CALIPER, NATIVE, WEIGHTS
from app.checkpoint.recipes.caliper_export import EXPORT
from app.checkpoint.recipes.cleanrl import CLEANRL
from app.checkpoint.recipes.elegantrl import ELEGANTRL
from app.checkpoint.recipes.generic import GENERIC
from app.checkpoint.recipes.onnx import ONNX, TORCH_EXPORT
from app.checkpoint.recipes.pickled_module import PICKLED_MODULE, PUFFERLIB_MODULE
from app.checkpoint.recipes.pufferlib import PUFFERLIB, PUFFERLIB_FOLDER, PUFFERLIB_TRAINER
from app.checkpoint.recipes.recipe import Recipe
from app.checkpoint.recipes.rl_games import RL_GAMES
from app.checkpoint.recipes.rllib import RLLIB
from app.checkpoint.recipes.rllib_policy import RLLIB_POLICY
from app.checkpoint.recipes.rsl_rl import RSL_RL
from app.checkpoint.recipes.sample_factory import SAMPLE_FACTORY
from app.checkpoint.recipes.sb3 import SB3
from app.checkpoint.recipes.skrl import SKRL

RECIPES: tuple[Recipe, ...] = (
    CALIPER,
    NATIVE,
    SB3,
    RSL_RL,
    RL_GAMES,
    SAMPLE_FACTORY,
    SKRL,
    PUFFERLIB_FOLDER,
    PUFFERLIB_TRAINER,
    RLLIB,
    RLLIB_POLICY,
    ELEGANTRL,
    EXPORT,  # before ONNX, which it may be too
    ONNX,
    TORCH_EXPORT,
    WEIGHTS,  # before CLEANRL, whose agents also have an actor and a critic
    CLEANRL,
    PUFFERLIB,
    PUFFERLIB_MODULE,
    PICKLED_MODULE,
    GENERIC,
)
"""All recipes, the most certain first; the last one takes anything."""


def recipe_for(root: Any) -> Recipe:
    """The first recipe that recognises the tree."""
    return next(recipe for recipe in RECIPES if recipe.recognise(root))
