"""Devices on their way from one gateway to another: archives, stores of other programs, and the
protocol that keeps one device with one owner."""
