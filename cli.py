"""The molvae command from a checkout: ``python cli.py`` is the same program as ``molvae``."""

from molvae.cli import main

if __name__ == "__main__":
    main()
