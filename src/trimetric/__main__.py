"""`python -m trimetric` is the command line."""

from trimetric.cli import main

main()
