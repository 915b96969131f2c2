"""What a model may be called: a name of the registry, `run:NAME`, a folder, or `hf:owner/name` of the hub."""

HUB, RUN = "hf:", "run:"
# Of folders on any system: a link that was made on Windows may be opened on Linux.
SEPARATORS = ("/", "\\")


def is_of_hub(name: str) -> bool:
    """Whether this names a model of the Hugging Face hub."""
    return name.startswith(HUB)


def is_run(name: str) -> bool:
    """Whether this names a model that was trained on the page "Training"."""
    return name.startswith(RUN)


def is_path(name: str) -> bool:
    """Whether this names a folder, and not a model of the registry."""
    return not is_of_hub(name) and not is_run(name) and any(separator in name for separator in SEPARATORS)


def is_free_name(name: str) -> bool:
    """Whether a link may name this model, though it is not in the registry.

    Never a folder of another machine (`//server/share`): a link to it would make this machine call there.
    """
    return (is_of_hub(name) or is_path(name)) and not name.startswith(("//", r"\\"))
