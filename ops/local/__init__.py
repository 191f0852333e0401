"""The whole gateway on one machine: stores, sandbox, Ray nodes and the front, under one host."""
