"""The charts of training: one gradient step, curves of runs, and probabilities step by step."""
