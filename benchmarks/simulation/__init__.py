"""The gateway at sizes no test machine has: measured costs, and a seeded simulation of them."""
