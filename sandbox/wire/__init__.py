"""The wire: JIDs, stanzas, binary XML, frames and the Noise handshake, all without I/O."""
