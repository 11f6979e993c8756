"""`python -m contrail_emulator` is the command."""

from contrail_emulator.cli.main import main

if __name__ == "__main__":
    main()
