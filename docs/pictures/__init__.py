"""Pictures of the documentation that are drawn from measured data, and the programs that draw them."""
