"""The command `contrail-emulator`."""
