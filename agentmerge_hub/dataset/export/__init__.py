"""Episodes of a built dataset in the formats of other tools."""
