"""``python -m pumice``: the same as the ``pumice`` command."""

from .cli.main import main

if __name__ == "__main__":
    main()
