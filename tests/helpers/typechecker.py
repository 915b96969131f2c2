"""What checks shapes and types while tests run: an int may stand for a float, as in the language itself."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
