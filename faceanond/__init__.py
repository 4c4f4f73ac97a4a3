"""faceanond: many cameras in, anonymised video out."""

__version__ = "0.1.0"
