"""``python -m earmark``: the command line."""

from earmark.bench.cli import main

if __name__ == "__main__":
    main()
