"""`python -m insula`: the command line."""

from insula.cli.main import main

if __name__ == "__main__":
    main()
