"""The logits of the short texts that were scored last: a page shows them in several places, and makes them once.

They are 201 kB a token for GPT-2, so those of a few texts are kept, for as long as their hidden states are there.
"""

import weakref
from collections import OrderedDict
from threading import Lock

from jaxtyping import Float
from torch import Tensor

# Positions of a text that is short, and of all that are kept: 51 MB for GPT-2.
SHORT, MOST = 32, 256
_kept: OrderedDict[int, Float[Tensor, "n v"]] = OrderedDict()
_lock = Lock()


def keep(hidden: Float[Tensor, "n d"], logits: Float[Tensor, "n v"]) -> None:
    """Keep the logits that belong to these states, instead of those that were not asked for the longest."""
    key = id(hidden)
    with _lock:
        _kept[key] = logits
        while sum(map(len, _kept.values())) > MOST and len(_kept) > 1:
            _kept.popitem(last=False)
    weakref.finalize(hidden, _kept.pop, key, None)


def kept(hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n v"] | None:
    """The logits that belong to these states, if they are kept."""
    key = id(hidden)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
        return _kept.get(key)
