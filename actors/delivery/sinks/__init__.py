"""Where else events go: message systems of the operator, and the backend."""
