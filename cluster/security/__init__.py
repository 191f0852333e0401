"""Who a caller is and what it may do: keys, tokens, and the principals they stand for. Pure."""
