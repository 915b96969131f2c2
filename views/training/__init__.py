"""The page "Training": recorded runs, and one that trains now."""
