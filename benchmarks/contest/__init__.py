"""Two stacks under the same load: the gateway, and what it is measured against."""
