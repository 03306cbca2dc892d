"""``python -m clustem``: the same as ``clustem``."""

from clustem.cli import main

if __name__ == "__main__":
    main()
