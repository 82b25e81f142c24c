"""From a model and a split to fitted parameters and their score."""
