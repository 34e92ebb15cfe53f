"""`python -m lactoolkit.cli` does what `lac` does."""

from . import main

if __name__ == "__main__":
    main(prog_name="lac")
