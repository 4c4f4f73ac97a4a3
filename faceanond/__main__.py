"""`python -m faceanond` is the same as the installed command."""

import sys

from faceanond.cli import main

sys.exit(main())
