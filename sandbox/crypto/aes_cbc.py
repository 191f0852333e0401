"""AES-256-CBC with PKCS#7 padding, for media and app state (whatsmeow: util/cbcutil)."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

BLOCK_SIZE = 16


def encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Encrypt; the IV (16 bytes) is not part of the result."""
    padder = PKCS7(BLOCK_SIZE * 8).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()


def decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Decrypt; raises ValueError for a length or padding that cannot be."""
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    unpadder = PKCS7(BLOCK_SIZE * 8).unpadder()
    return (
        unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()
    )
