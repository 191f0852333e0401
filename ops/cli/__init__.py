"""The command line of the gateway: `./gateway`, or `python -m ops.cli`."""
