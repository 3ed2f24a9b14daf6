"""`python -m gencosmo.cli`."""

from gencosmo.cli import main

if __name__ == "__main__":
    main()
