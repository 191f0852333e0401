"""What an operator runs: command line, local processes and servers, checks, ingress."""
