"""What runs inside a Ray actor: sessions, their WhatsApp client, the supervisor."""

from actors.zygote.import_stubs import leave_out

leave_out()
