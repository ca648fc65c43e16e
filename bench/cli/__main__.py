"""``python -m earmark.bench.cli``: as the command ``earmark``."""

from earmark.bench.cli import main

if __name__ == "__main__":
    main()
