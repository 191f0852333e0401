"""The cryptography a WhatsApp server and its phones need, all without I/O except `tls`."""
