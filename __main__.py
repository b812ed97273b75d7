"""``python -m pumice``: the same as the ``pumice`` command."""

from .cli import main

if __name__ == "__main__":
    main()
