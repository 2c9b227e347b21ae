"""`python -m pixelgen` is `pixelgen`."""

from pixelgen.cli.app import main

if __name__ == "__main__":
    main()
