"""The recipes, a table for each modality. Reading one imports neither torch nor a recipe's module."""
