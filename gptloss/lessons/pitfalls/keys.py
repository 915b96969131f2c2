"""What the pitfalls are called in a link. Loads no torch, as the catalogue does."""

KEYS = (
    "shift",
    "start-token",
    "context",
    "own-output",
    "token-perplexities",
    "row-perplexities",
    "log-of-mean",
    "batch-means",
    "base",
    "per-word",
    "bytes",
    "tokenizers",
    "precision",
    "top-entropy",
)
