"""The Python client offers what the API offers: every operation has its verb, and all are typed."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any

from client.gateway import Gateway
from client.session import SessionClient

#: Operation → verb: of the gateway, or (with a leading dot) of one of its sessions.
VERBS = {
    "HealthController_check": "health",
    "VersionController_get": "version",
    "ServerController_get": "version",
    "MetricsController_get": "metrics",
    "ServerController_environment": "environment",
    "ApiKeysController_create": "keys.create",
    "ApiKeysController_list": "keys.list",
    "ApiKeysController_media": "keys.create",
    "ApiKeysController_control": "keys.create",
    "ApiKeysController_update": "keys.update",
    "ApiKeysController_delete": "keys.delete",
    "AuditController_list": "keys.audit",
    "TransferController_import": "import_session",
    "TransferController_export": ".export",
    "TransferController_takeBack": ".take_back",
    "SessionsController_list": "list_sessions",
    "SessionsController_create": "create_session",
    "SessionsController_DEPRACATED_start": ".start",
    "SessionsController_DEPRECATED_stop": ".stop",
    "SessionsController_DEPRECATED_logout": ".logout",
    "SessionsController_get": ".info",
    "SessionsController_update": ".update",
    "SessionsController_delete": ".delete",
    "SessionsController_getMe": ".me",
    "SessionsController_start": ".start",
    "SessionsController_stop": ".stop",
    "SessionsController_logout": ".logout",
    "SessionsController_restart": ".restart",
    "SessionsController_move": ".move",
    "AuthController_getQR": ".qr",
    "AuthController_requestCode": ".request_code",
    "ChattingController_sendText": ".send_text",
    "ChattingController_sendTextGet": ".send_text",
    "ChattingController_reply": ".send_text",
    "ChattingController_sendImage": ".media.send",
    "ChattingController_sendFile": ".media.send",
    "ChattingController_sendVoice": ".media.send",
    "ChattingController_sendVideo": ".media.send",
    "ChattingController_sendSticker": ".media.send",
    "ChattingController_sendLinkCustomPreview": ".send_text",
    "ChattingController_sendLinkPreview_DEPRECATED": ".send_text",
    "ChattingController_sendList": ".chatting.send_list",
    "ChattingController_sendButtonsReply": ".chatting.reply_button",
    "ChattingController_sendPoll": ".chatting.send_poll",
    "ChattingController_sendPollVote": ".chatting.vote",
    "ChattingController_sendLocation": ".chatting.send_location",
    "ChattingController_sendContactVcard": ".chatting.send_contacts",
    "ChattingController_forwardMessage": ".chatting.forward",
    "ChattingController_setReaction": ".chatting.react",
    "ChattingController_setStar": ".chatting.star",
    "ChattingController_sendSeen": ".chatting.seen",
    "ChattingController_startTyping": ".chatting.typing",
    "ChattingController_stopTyping": ".chatting.typing",
    "ChattingController_getMessages": ".messages",
    "ChattingController_DEPRECATED_checkNumberStatus": ".check_number",
    "ChattingController_getNewMessageId": ".chatting.new_message_id",
    "ContactsController_getAll": ".contacts.list",
    "ContactsController_get": ".contacts.get",
    "ContactsController_checkExists": ".check_number",
    "ContactsController_getAbout": ".contacts.about",
    "ContactsController_getProfilePicture": ".contacts.picture",
    "ContactsController_block": ".contacts.block",
    "ContactsController_unblock": ".contacts.unblock",
    "ContactsSessionController_get": ".contacts.get",
    "ContactsSessionController_put": ".contacts.save",
    "MediaController_upload": ".media.upload",
    "MediaController_getFile": ".media.file",
    "MediaController_convertVoice": ".media.convert",
    "MediaController_convertVideo": ".media.convert",
    "ChatsController_getChats": ".chats.list",
    "ChatsController_getChatsOverview": ".chats.list",
    "ChatsController_postChatsOverview": ".chats.list",
    "ChatsController_deleteChat": ".chats.delete",
    "ChatsController_getChatPicture": ".chats.picture",
    "ChatsController_getChatMessages": ".page",
    "ChatsController_clearMessages": ".chats.clear",
    "ChatsController_readChatMessages": ".chatting.seen",
    "ChatsController_getChatMessage": ".chats.message",
    "ChatsController_deleteMessage": ".chatting.revoke",
    "ChatsController_editMessage": ".chatting.edit",
    "ChatsController_pinMessage": ".chatting.pin",
    "ChatsController_unpinMessage": ".chatting.pin",
    "ChatsController_archiveChat": ".chats.archive",
    "ChatsController_unarchiveChat": ".chats.archive",
    "ChatsController_unreadChat": ".chats.mark_read",
    "MessagesController_search": ".search",
    "StatusController_sendTextStatus": ".status.send_text",
    "StatusController_sendImageStatus": ".media.send",
    "StatusController_sendVoiceStatus": ".media.send",
    "StatusController_sendVideoStatus": ".media.send",
    "StatusController_deleteStatus": ".status.delete",
    "StatusController_getNewMessageId": ".chatting.new_message_id",
    "GroupsController_createGroup": ".groups.create",
    "GroupsController_getGroups": ".groups.list",
    "GroupsController_joinInfoGroup": ".groups.preview",
    "GroupsController_joinGroup": ".groups.join",
    "GroupsController_getGroupsCount": ".groups.list",
    "GroupsController_refreshGroups": ".groups.list",
    "GroupsController_getGroup": ".groups.get",
    "GroupsController_leaveGroup": ".groups.leave",
    "GroupsController_getChatPicture": ".groups.picture",
    "GroupsController_setPicture": ".groups.set_picture",
    "GroupsController_deletePicture": ".groups.delete_picture",
    "GroupsController_setDescription": ".groups.set_description",
    "GroupsController_setSubject": ".groups.set_subject",
    "GroupsController_setInfoAdminOnly": ".groups.set_locked",
    "GroupsController_getInfoAdminOnly": ".groups.get",
    "GroupsController_setMessagesAdminOnly": ".groups.set_announce",
    "GroupsController_getMessagesAdminOnly": ".groups.get",
    "GroupsController_getGroupJoinRequests": ".groups.join_requests",
    "GroupsController_approveGroupJoinRequests": ".groups.approve",
    "GroupsController_getInviteCode": ".groups.invite_link",
    "GroupsController_revokeInviteCode": ".groups.revoke_invite_link",
    "GroupsController_getParticipants": ".groups.get",
    "GroupsController_getGroupParticipants": ".groups.get",
    "GroupsController_addParticipants": ".groups.change_members",
    "GroupsController_removeParticipants": ".groups.change_members",
    "GroupsController_promoteToAdmin": ".groups.change_members",
    "GroupsController_demoteToAdmin": ".groups.change_members",
    "LidsController_getAll": ".lids.list",
    "LidsController_getLidsCount": ".lids.list",
    "LidsController_findLIDByPhoneNumber": ".lids.lid_of",
    "LidsController_findPNByLid": ".lids.phone_of",
    "ProfileController_getMyProfile": ".profile.get",
    "ProfileController_setProfileName": ".profile.set_name",
    "ProfileController_setProfileStatus": ".profile.set_about",
    "ProfileController_setProfilePicture": ".profile.set_picture",
    "ProfileController_deleteProfilePicture": ".profile.delete_picture",
    "PresenceController_setPresence": ".presence.set_online",
    "PresenceController_getPresenceAll": ".presence.list",
    "PresenceController_getPresence": ".presence.get",
    "PresenceController_subscribe": ".presence.subscribe",
    "LabelsController_getAll": ".labels.list",
    "LabelsController_create": ".labels.create",
    "LabelsController_update": ".labels.update",
    "LabelsController_delete": ".labels.delete",
    "LabelsController_getChatLabels": ".labels.of_chat",
    "LabelsController_putChatLabels": ".labels.set_of_chat",
    "LabelsController_getChatsByLabel": ".labels.chats",
    "ChannelsController_list": ".channels.list",
    "ChannelsController_create": ".channels.create",
    "ChannelsController_get": ".channels.get",
    "ChannelsController_previewChannelMessages": ".channels.messages",
    "ChannelsController_follow": ".channels.follow",
    "ChannelsController_unfollow": ".channels.follow",
    "ChannelsController_mute": ".channels.mute",
    "ChannelsController_unmute": ".channels.mute",
    "CallsController_rejectCall": ".calls.reject",
    "EventsController_sendEvent": ".chatting.send_event",
    "EventsController_list": ".events.list",
    "EventsController_stream": ".events.follow",
    "EventsController_streamAll": "follow_all",
    "VitalsController_list": "vitals",
    "VitalsController_traffic": "traffic",
    "VitalsController_deadLetters": "dead_letters",
    "EventsController_replay": ".events.replay",
    "EventsController_quarantined": ".events.quarantined",
    "EventsController_quarantinedEntry": ".events.quarantined_entry",
    "EventsController_deleteQuarantined": ".events.delete_quarantined",
    "WebhooksController_list": ".webhooks.states",
    "WebhooksController_test": ".webhooks.test",
    "WebhooksController_deliveries": ".webhooks.deliveries",
    "WebhooksController_deadLetters": ".webhooks.dead_letters",
    "WebhooksController_replayDeadLetters": ".webhooks.replay_dead_letters",
    "WebhooksController_deleteDeadLetter": ".webhooks.delete_dead_letter",
    "AppsController_list": "apps.list",
    "AppsController_create": "apps.create",
    "AppsController_get": "apps.get",
    "AppsController_update": "apps.update",
    "AppsController_delete": "apps.delete",
    "AppsController_purge": "apps.purge",
    "AppsController_purgeUniqueApp": "apps.purge",
    "OutboxController_list": ".outbox.queue",
    "OutboxController_get": ".outbox.entry",
}
#: About the HTTP server alone.
HTTP_ONLY = {
    "Mcp_post",
    "ChatwootController_webhook",
    "PingController_ping",
    "ServerController_status",
    "HealthController_live",
    "HealthController_ready",
}
#: Of the console; in Python they are subjects of the gateway, `cluster` and `sandbox`.
CONSOLE = ("AccessController_", "ClusterController_", "SandboxController_")


def _verb(path: str) -> Callable[..., Any]:
    owner: Any = SessionClient if path.startswith(".") else Gateway
    *subjects, name = path.removeprefix(".").split(".")
    for subject in subjects:
        getter = inspect.getattr_static(owner, subject).fget
        owner = typing.get_type_hints(getter, vars(sys.modules[getter.__module__]))["return"]
    found: Callable[..., Any] = getattr(owner, name)
    return found


def _served(document: dict[str, Any]) -> set[str]:
    return {
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
        # What is not possible has no verb.
        if "501" not in operation["responses"] or operation["operationId"] in VERBS
    }


def test_every_operation_has_its_verb(document: dict[str, Any]) -> None:
    served = _served(document)
    missing = sorted(served - VERBS.keys() - HTTP_ONLY)
    assert [name for name in missing if not name.startswith(CONSOLE)] == []
    assert sorted(VERBS.keys() - served) == [], "operations that are gone"


def test_every_verb_is_there_documented_and_typed() -> None:
    for path in set(VERBS.values()):
        verb = _verb(path)
        assert inspect.getdoc(verb) or path.count("."), path
        signature = inspect.signature(verb)
        assert signature.return_annotation is not inspect.Signature.empty, path
        for name, parameter in signature.parameters.items():
            if name != "self":
                assert parameter.annotation is not inspect.Parameter.empty, (path, name)
