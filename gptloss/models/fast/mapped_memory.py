"""Memory into which files are mapped: tells the system which of its pages are no longer needed.

A weight in oneDNN's order is a copy. The pages of the original count as ours until the system needs them, so a server
would seem to hold both. Giving them back keeps the lecture's model at 892 MB while it is packed, instead of 1,216 MB.
It happens only where a file is mapped unchanged, which the system can read again. GPTLOSS_KERNEL=torch makes no
copies at all.
"""

import ctypes
import mmap
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor


def mapped() -> list[range]:
    """The addresses at which files are mapped and nothing is written. Linux says so; elsewhere there are none."""
    places: list[range] = []
    try:
        lines = Path("/proc/self/smaps").read_text("utf-8", "replace").splitlines()
    except OSError:
        return places
    for fields in map(str.split, lines):
        if "-" in fields[0]:
            bounds, inode = [int(end, 16) for end in fields[0].split("-")], fields[4]
        elif fields[:2] == ["Anonymous:", "0"] and inode != "0":
            places.append(range(*bounds))
    return places


def let_go(weight: Tensor, mapped: Sequence[range]) -> None:
    """Give the pages of a matrix back to the system if it can read them again; it would count them as ours."""
    if weight.is_mkldnn or not any(weight.data_ptr() in place for place in mapped):
        return
    last = sum((size - 1) * step for size, step in zip(weight.shape, weight.stride(), strict=True))
    start = -(-weight.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    stop = (weight.data_ptr() + (last + 1) * weight.element_size()) // mmap.PAGESIZE * mmap.PAGESIZE
    if stop > start:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), mmap.MADV_DONTNEED)
