"""What runs inside a Ray actor: sessions, their WhatsApp client, the supervisor."""

from actors.zygote.lean import leave_out

leave_out()
