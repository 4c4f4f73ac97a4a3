"""`faceanond bench`: what each stage costs on this machine, and how many cameras it carries.

`run` builds the objects and puts everything together; `stages` and `together` measure; `plan`, `figures` and `report`
only calculate.
"""
