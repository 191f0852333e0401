"""What runs inside a Ray actor: sessions, their WhatsApp client, the supervisor."""
