"""Recipes: `registry` keeps them, `tables/` names them; every other module here is one configuration."""

from training.recipes.registry import Recipe, get, known, register
from training.recipes.tables import generative, text, vision

__all__ = ["Recipe", "get", "known", "register"]

for _recipe in (*vision.RECIPES, *text.RECIPES, *generative.RECIPES):
    register(_recipe)
