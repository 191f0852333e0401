"""The way to WhatsApp: a narrow port, and neonize as its adapter."""
