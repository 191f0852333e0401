"""Settings are shown without any secret in them."""

from __future__ import annotations

from pydantic import SecretStr

from cluster.effective_settings import effective
from cluster.settings import GlobalWebhookSettings, HttpSettings, Settings, WhatsAppSettings

SECRET = "hunter2"


def test_no_secret_is_shown() -> None:
    shown = effective(
        Settings(
            http=HttpSettings(api_key=SecretStr(SECRET), port=4711),
            whatsapp=WhatsAppSettings(proxy_url=f"http://me:{SECRET}@proxy:3128"),
            global_webhooks=GlobalWebhookSettings(
                url=f"https://a/x?token={SECRET},https://{SECRET}@b/y",
                custom_headers=f"Authorization:{SECRET}",
            ),
        ),
        all=True,
    )
    assert SECRET not in str(shown)
    assert shown["HTTP_PORT"] == "4711"
    assert shown["WHATSAPP_PROXY_URL"] == "http://**********@proxy:3128"
    assert shown["WHATSAPP_HOOK_URL"] == "https://a/x?**********,https://**********@b/y"


def test_defaults_are_shown_when_asked_for() -> None:
    settings = Settings(http=HttpSettings(port=4711))
    assert "HTTP_PORT" in effective(settings)
    assert len(effective(settings, all=True)) > len(effective(settings))
