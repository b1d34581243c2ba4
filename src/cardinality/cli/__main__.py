"""The command line as a module, which is what torchrun starts."""

from cardinality.cli.app import main

if __name__ == "__main__":
    main()
