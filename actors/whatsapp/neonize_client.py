"""The adapter: one linked device, spoken for by neonize (whatsmeow).

What the library does and does not do, and why the adapter is as it is (neonize 0.5.2):

* Every call blocks a thread of the loop's default executor, `connect` for as long as the client
  lives: the host installs a large one (`actors.hosts.host`).
* Events come from a Go thread, in order, through one callback. They are handed to the session's
  loop in that order and handled one at a time.
* A call for a client that was stopped dereferences nil in Go and ends the process. Calls are
  therefore counted, none starts after `close`, and `Stop` is only called when none is left and
  pairing is over (`FetchMe` would dereference nil otherwise).
* `Disconnect` marks the disconnect as expected, which also ends automatic reconnecting
  (whatsmeow client.go, `autoReconnect`), unless that has just begun: see `_stop_reconnecting`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog
from neonize._binder import ProxySettings, gocode
from neonize.aioze.client import NewAClient
from neonize.exc import (
    GetJIDFromStoreError,
    LogoutError,
    NeonizeError,
    PairPhoneError,
)
from neonize.proto import Neonize_pb2 as pb
from neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps
from neonize.utils.enum import MediaType
from neonize.utils.log import log as library_log
from pydantic import ValidationError

from actors.checkpoint.store_process import StoreProcesses
from actors.endless import endless
from actors.media import downloads
from actors.media.media_host import MediaHost, MediaHosts
from actors.media.uploads import Uploads
from actors.whatsapp import history, incoming, jids, side_events
from actors.whatsapp.app_state_seen import AppStateSeen
from actors.whatsapp.bounds import bounded, repaired, repaired_answer
from actors.whatsapp.content import compose
from actors.whatsapp.group_cache import GroupCache
from actors.whatsapp.library import (
    acknowledged_last,
    app_state_ring,
    decrypt_txn,
    message_id,
    promises,
)
from actors.whatsapp.library.client_version import outdated
from actors.whatsapp.library.clients import clients_in_library
from actors.whatsapp.library.message_id import SendFailed, send_with_id
from actors.whatsapp.library.sandbox_root import trust_root
from actors.whatsapp.library.wire_ids import WireIds
from actors.whatsapp.port import (
    Banned,
    ChatArchived,
    ChatLabeled,
    Connected,
    Disconnected,
    EventSpool,
    Failed,
    HistoryArrived,
    LoggedOut,
    Paired,
    QrShown,
    QrTimedOut,
    ReceiptSeen,
    Received,
    Renamed,
    Replaced,
    SideEvents,
    Undecryptable,
    Unprocessed,
    WhatsAppEvent,
)
from actors.whatsapp.presences import Presences
from actors.whatsapp.stream import EventStream
from actors.whatsapp.stuck_sockets import hang_up
from actors.whatsapp.verbs import Device
from actors.whatsapp.votes import Votes
from cluster.domain.errors import (
    Invalid,
    NotPermitted,
    NotSupported,
    Unavailable,
    WhatsAppRefused,
)
from cluster.domain.jid import bare_jid, lid_jid
from cluster.domain.session import Me
from cluster.domain.session_config import BROWSERS, ClientConfig, SessionConfig
from cluster.domain.verbs.verb import Verb
from cluster.domain.waha_id import waha_id
from cluster.domain.wire_message import people_in, raw_of
from cluster.media.addresses import allowed_networks, permitted_proxy
from cluster.reach import way_to_whatsapp
from cluster.settings import WhatsAppSettings

__all__ = ["NeonizeClient"]

log = structlog.get_logger(__name__)
T = TypeVar("T")
#: go-sqlite3's options for the device store. `x` takes what the library appends. Transactions hold
#: the store from their beginning: see `actors.whatsapp.library.decrypt_txn`.
_STORE = "_journal_mode=WAL&_foreign_keys=on&_txlock=immediate&x="

#: Codes of the library's event callback (neonize/events.py, EVENT_TO_INT).
_SUBSCRIBED: dict[int, type[Any]] = {
    2: pb.PairStatus,
    3: pb.Connected,
    6: pb.LoggedOut,
    7: pb.StreamReplaced,
    8: pb.TemporaryBan,
    9: pb.ConnectFailure,
    10: pb.ClientOutdated,
    11: pb.StreamError,
    12: pb.Disconnected,
    13: pb.HistorySync,
    17: pb.Message,
    18: pb.Receipt,
    19: pb.ChatPresence,
    20: pb.Presence,
    21: pb.JoinedGroup,
    22: pb.GroupInfoEvent,
    44: pb.UndecryptableMessage,
    **side_events.SUBSCRIBED,
}
#: What nobody sends again once the library has acknowledged it.
_KEPT = frozenset({13, 17, 18, 44, *side_events.SUBSCRIBED})
#: Seconds without an event after which a closed library is taken to have reported everything.
_QUIET = 0.2
#: Seconds that a change of settings waits for its own event to be handled.
_HANDLED = 5.0
_RECEIPTS = {
    pb.Receipt.DELIVERED: "delivered",
    pb.Receipt.SENDER: "sender",
    pb.Receipt.RETRY: "retry",
    pb.Receipt.READ: "read",
    pb.Receipt.READ_SELF: "read-self",
    pb.Receipt.PLAYED: "played",
    pb.Receipt.PLAYED_SELF: "played-self",
    pb.Receipt.SERVER_ERROR: "server-error",
    pb.Receipt.INACTIVE: "inactive",
    pb.Receipt.PEER_MSG: "peer",
    pb.Receipt.HISTORY_SYNC: "history-sync",
}
#: In errors of a send that never left: of the device store's database and the disk below it.
_HERE = ("database", "sqlite", "disk", "no space", "context canceled", "context deadline")
#: A status in errors of the library (whatsmeow send.go, request.go), and those of 400 to 499 that
#: pass: timeouts and limits.
_STATUS = re.compile(r"(?:server returned error|returned status|status code) (\d{3})")
_RETRIED = frozenset({408, 425, 429, 460})
#: In errors of a send that no new try can mend (whatsmeow errors.go, send.go).
_FINAL = (
    *("no lid found", "not on whatsapp", "unknown server", "recipient must be"),
    *("not participating", "does not exist", "not yet supported", "unsupported"),
    *("failed to marshal", "invalid jid", "cannot be empty", "can't be empty", "no participants"),
)
#: In answers of WhatsApp to who is no member of a group, or may not write in it.
_NO_RIGHT = re.compile(
    r"error:? (401|403)\b|\bforbidden\b|\bnot-authorized\b|\bnot participating\b"
)
#: Connect failures that no new try can mend.
_FATAL = {pb.CLIENT_OUTDATED, pb.BAD_USER_AGENT}

#: Starts touch process-wide state (DeviceProps, unlocked maps of clients); ends do, too.
_starting = asyncio.Lock()
#: A client of this process is shown otherwise than by the gateway's settings.
_shown_apart = asyncio.Event()
#: Seconds that a start may keep others from theirs, and between looks whether it still does.
_START_PATIENCE, _START_POLL = 5.0, 0.002
#: Seconds before each look whether the account's name is known (another one).
_NAME_PAUSES = (0.5, 0.5, 1, 2, 4, 8, 16, 30, 60)
#: Of `close` with a client that connects, seconds: less than the margin between an owner's fence
#: and the end of its lease.
_CLOSE_PATIENCE = 0.5
#: That a farewell to WhatsApp may take, seconds: after that, connections on which nothing arrives
#: are hung up.
_FAREWELL = 0.2
#: Threads for disconnects alone: calls that hang must not keep an owner from its fence.
_disconnects = ThreadPoolExecutor(256, thread_name_prefix="wa-close")
#: Of `close` with a client that may be reconnecting: further disconnects, and seconds between them.
_DISCONNECTS, _DISCONNECT_PAUSE = 5, 0.05


class NeonizeClient:
    """One linked device over neonize. See `actors.whatsapp.port.WhatsAppClient`."""

    def __init__(
        self,
        *,
        store: Path,
        key: str,
        settings: WhatsAppSettings,
        on_event: Callable[[WhatsAppEvent, bytes], Awaitable[None]],
        uploads: Uploads | None = None,
        spool: EventSpool | None = None,
        proxy_allow: str = "",
    ) -> None:
        """`store`: the SQLite device store; `key`: unique per client in this process; `uploads`:
        where the files of attachments come from; `spool`: where received messages are kept until
        `on_event` returned for them; `proxy_allow`: networks that a
        session's own proxy may be in although they are not public."""
        self.on_event = on_event
        self.me: Me | None = None
        self.engine_events = False
        self.config: Mapping[str, Any] = {}
        self._proxy_allow = proxy_allow
        self._debug = False
        self.gone = True
        self._store = store
        self._store_processes: StoreProcesses | None = None
        self.presences = Presences()
        self.groups = GroupCache()
        self._settings = settings
        self._uploads = uploads
        self._media_hosts = MediaHosts(settings.proxy_url)
        self._votes = Votes()
        self._wire_ids = WireIds()
        self._key = key
        self._spooled = spool is not None
        self._loop = asyncio.get_running_loop()
        self._client = NewAClient(f"{store}?{_STORE}", uuid=key)
        self.on_broken: Callable[[str], None] = lambda _: None
        #: From its first event on the Go side knows the client.
        self._stream = EventStream(
            key=key,
            translate=self._understood,
            name=lambda code: _SUBSCRIBED[code].__name__ if code in _SUBSCRIBED else str(code),
            kept=_KEPT,
            complete=self._with_phones,
            handle=lambda event, entry: self.on_event(event, entry),
            spool=spool,
            too_late=self._close_gate,
        )
        #: What acknowledgements wait for, where anything is kept.
        self._gate: acknowledged_last.Gate | None = None
        self._finding: asyncio.Task[None] | None = None
        self._seen: AppStateSeen | None = None
        self._settings_watch: asyncio.Task[None] | None = None
        self._naming: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._stopped = False
        self._paired = False
        #: Logged in, as the library reported last.
        self._online = False
        #: LID -> phone number, as the library learned them
        self._phones: dict[str, str] = {}

    async def connect(self) -> None:
        loop = self._loop
        await asyncio.to_thread(promises.prepare)
        if (ring := app_state_ring.PATCH.made()) is not None:
            self._seen = AppStateSeen(ring, self.rows, self._stream.accept)
            self._settings_watch = asyncio.create_task(
                endless("settings", self._seen.watch), name=f"settings:{self._key}"
            )
        if self._spooled and acknowledged_last.PATCH.made():
            self._gate = acknowledged_last.Gate(self._store, self._key.encode())
        if self._settings.sandbox:
            trust_root(bytes.fromhex(self._settings.sandbox_root_key))
        event = self._client.event
        event.list_func = dict.fromkeys(_SUBSCRIBED)
        event.execute = lambda _uuid, data, size, code: self._said(
            loop, code, ctypes.string_at(data, size)
        )
        # The two below are private to the library; its own handlers do no more than these.
        self._client._NewAClient__onQr = lambda _uuid, data: self._post(
            loop, QrShown(text=ctypes.string_at(data).decode("utf-8", "replace"))
        )
        self._client._NewAClient__onLoginStatus = lambda _uuid, data: self._login_status(
            loop, ctypes.string_at(data).decode("utf-8", "replace")
        )
        self._stream.start(self._broken)
        try:
            await self._configure()
        except (Invalid, ValidationError) as error:
            # Without the proxy that was meant nothing may go out.
            said = error.detail if isinstance(error, Invalid) else "config.proxy is not host:port"
            self._stream.accept(Failed(reason=said, temporary=False))
            return
        proxy = ProxySettings(self._settings.proxy_url) if self._settings.proxy_url else None
        # Without a level of its own the library formats what each stanza says, and calls Python
        # with it, to have it dropped there.
        library_log.setLevel(logging.getLogger().level)
        async with _starting:
            before = await asyncio.to_thread(clients_in_library)
            if self._closed:
                return
            self.gone = False
            self._connecting = await self._client.connect(proxy)
            self._connecting.add_done_callback(self._connect_ended)
            if self._closed:
                await self._disconnect(self._connecting)
                return
            # A connect that takes long has passed the part that must not run twice at once.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_START_PATIENCE):
                    await self._past_the_common_part(self._connecting, before)
            decrypt_txn.set_for(self._key)
            known = self._gate is None or self._gate.find()
        if not known:
            self._finding = asyncio.create_task(
                endless("gate", self._find_gate), name=f"gate:{self._key}"
            )

    async def _find_gate(self) -> None:
        """A client that connects is known no later than at its first event."""
        await self._stream.begun.wait()
        async with _starting:
            if self._gate is not None and not self._gate.find():
                log.error("whatsapp.channel_not_found", key=self._key)
                self._gate.give_up()

    def _close_gate(self) -> None:
        if self._gate is not None:
            self._gate.close()

    def _said(self, loop: asyncio.AbstractEventLoop, code: int, raw: bytes) -> None:
        try:
            self._stream.said(loop, code, raw)
        finally:
            if self._gate is not None:
                self._gate.returned()

    async def _configure(self) -> None:
        """What the session's own configuration wants. Raises `Invalid`, `ValidationError`."""
        own = SessionConfig.read(self.config)
        self._debug = bool(own.debug)
        shown = own.client or ClientConfig()
        self._client.device_props = DeviceProps(
            os=shown.deviceName or self._settings.device_name,
            platformType=BROWSERS[shown.browserName or "Chrome"],
        )
        if own.client is not None:
            _shown_apart.set()
        if own.proxy is not None:
            # From here on everything goes by it: the connection, uploads and downloads.
            url = await permitted_proxy(own.proxy.url, allowed_networks(self._proxy_allow))
            self._settings = self._settings.model_copy(update={"proxy_url": url})
            self._media_hosts = MediaHosts(url)

    async def _past_the_common_part(
        self, connecting: asyncio.Task[None], before: int | None
    ) -> None:
        """Return when others may start: see `actors.whatsapp.library.clients`."""
        while not (self._stream.begun.is_set() or connecting.done()):
            # The library sends its one `DeviceProps` with the handshake of an unlinked device: no
            # other client may change it until then.
            if clients_in_library() != before and not _shown_apart.is_set():
                return
            await asyncio.sleep(_START_POLL)

    def decode(self, entry: bytes, own_jid: str) -> WhatsAppEvent | None:
        if entry[0] not in _SUBSCRIBED:
            return None
        try:
            return self._understood(entry[0], entry[1:], own_jid)
        except Exception as error:
            log.exception("whatsapp.not_understood", key=self._key, code=entry[0])
            return self._stream.unprocessed(entry, error)

    def unprocessed(self, entry: bytes, error: Exception) -> Unprocessed:
        return self._stream.unprocessed(entry, error)

    async def drained(self) -> None:
        """Call it after `close`."""
        if not self._stream.started:
            return
        # The library hands over what it has queued for a moment after it disconnected.
        seen = -1
        while seen != self._stream.arrived or (self._gate is not None and self._gate.busy):
            seen = self._stream.arrived
            await asyncio.sleep(_QUIET)
        await self._stream.end()
        self._close_gate()
        if not self._stopped:
            await self._stop()

    async def close(self) -> None:
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.create_task(self._close(), name=f"close:{self._key}")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        for watch in (self._settings_watch, self._naming, self._finding):
            if watch is not None:
                watch.cancel()
        if self._connecting is not None:
            await self._disconnect(self._connecting)
        processes, self._store_processes = self._store_processes, None
        if processes is not None:
            await processes.give_back()

    async def _disconnect(self, connecting: asyncio.Task[None]) -> None:
        if not self._client_known():
            # A client that connects is unknown to `Disconnect` until its first event.
            known = asyncio.ensure_future(self._stream.begun.wait())
            await asyncio.wait(
                {known, connecting}, timeout=_CLOSE_PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            known.cancel()
        if self._client_known():
            await self._disconnect_now()
            if not self._online:
                await self._stop_reconnecting()
            self.gone = True
        else:
            self.gone = connecting.done()

    async def _stop_reconnecting(self) -> None:
        """A connect that the library was about to begin is not kept from it by one `Disconnect`:
        after pairing (whatsmeow connectionevents.go, code 515) and after a lost connection
        (client.go, `autoReconnect`). A disconnect waits for a connect under way, and ends it."""
        for _ in range(_DISCONNECTS):
            await asyncio.sleep(_DISCONNECT_PAUSE)
            await self._disconnect_now()

    async def _disconnect_now(self) -> None:
        loop = asyncio.get_running_loop()
        closing = loop.run_in_executor(_disconnects, gocode.Disconnect, self._key.encode())
        _, port = way_to_whatsapp(self._settings.proxy_url)
        while not (await asyncio.wait({closing}, timeout=_FAREWELL))[0]:
            if hung_up := hang_up(port):
                log.info("whatsapp.hung_up", key=self._key, connections=hung_up)
        closing.result()

    async def rows(self, query: str) -> list[list[Any]]:
        """See `actors.whatsapp.verbs.registry.Device.rows`."""
        if self._closed:
            raise Unavailable("the client is closed", retry_after=1)
        if self._store_processes is None:
            self._store_processes = StoreProcesses.borrow()
        return await self._store_processes.rows(self._store, query)

    async def _stop(self) -> None:
        """Let the library forget the client, once no call of ours is left in it."""
        self._stopped = True
        try:
            await asyncio.wait_for(self._idle.wait(), 5)
        except TimeoutError:
            log.warning("whatsapp.calls_left_at_close", key=self._key, calls=self._calls)
            return
        if self._paired and self._client_known():
            async with _starting:
                await asyncio.to_thread(gocode.Stop, self._key.encode())

    async def send(self, *, chat: str, content: dict[str, object], message_id: str) -> datetime:
        message = await compose(self._wire_ids.outgoing(dict(content)), self)
        with self._wire_ids.sending():
            try:
                response = await self._call(
                    lambda: send_with_id(self._client, jids.from_text(chat), message, message_id)
                )
            except SendFailed as error:
                raise classify_send(str(error)) from error
            self._wire_ids.sent(message_id, response.ID)
        return incoming.timestamp(response.Timestamp)

    async def pair_phone(self, number: str) -> str:
        try:
            return str(await self._call(lambda: self._client.PairPhone(number, True)))
        except PairPhoneError as error:
            raise WhatsAppRefused(f"WhatsApp gave no pairing code: {error}") from error

    async def logout(self) -> None:
        try:
            await self._call(self._client.logout)
        except LogoutError as error:
            raise WhatsAppRefused(f"logout was refused: {error}") from error

    async def request(self, verb: Verb[T]) -> T:
        device: Device = self
        return await verb.perform(device)

    async def call(self, use: Callable[[NewAClient], Awaitable[T]]) -> T:
        """See `actors.whatsapp.verbs.Device`."""
        try:
            return repaired_answer(await self._call(lambda: use(self._client)))
        except NeonizeError as error:
            raise classify(str(error)) from error

    async def upload(self, file: Mapping[str, Any], kind: MediaType) -> pb.UploadResponse:
        """See `actors.whatsapp.content.Composer`."""
        if self._uploads is None:
            raise NotSupported("this session was started without a place for media")
        return await self._uploads.upload(
            file, kind, ask_host=self.media_host, proxy_url=self._settings.proxy_url
        )

    async def media_host(self, anew: bool = False) -> MediaHost:
        """Where attachments are uploaded to: see `actors.media.media_host`."""
        return await self._media_hosts.get(self.call, anew=anew)

    async def emit_settings(self) -> None:
        """See `actors.whatsapp.verbs.Device`."""
        if self._seen is None or self._closed:
            return
        await self._seen.poll()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stream.handled(), _HANDLED)

    async def emit_name(self) -> None:
        """See `actors.whatsapp.verbs.Device`."""
        if self._naming is not None:
            self._naming.cancel()
        self._naming = asyncio.create_task(self._learn_name(), name=f"name:{self._key}")

    async def _learn_name(self) -> None:
        """neonize 0.5.2 has no event of the setting, so the library is asked for a while."""
        for pause in _NAME_PAUSES:
            await asyncio.sleep(pause)
            try:
                found = await self._call(self._client.get_me, local=True)
            except (NeonizeError, Unavailable) as error:
                log.debug("whatsapp.name_not_known", key=self._key, error=str(error))
                return
            if self.me is not None and found.PushName not in {"", self.me.push_name}:
                self.me = replace(self.me, push_name=found.PushName)
                self._stream.accept(Renamed(me=self.me))
                return

    async def keep_media(self, part: dict[str, Any], kind: str, key: str, max_bytes: int) -> int:
        """See `actors.whatsapp.verbs.Device`."""
        if self._uploads is None:
            raise NotSupported("this session was started without a place for media")
        return await downloads.keep(
            self._uploads.objects,
            part=part,
            kind=kind,
            key=key,
            proxy_url=self._settings.proxy_url,
            max_bytes=max_bytes,
        )

    async def _call(self, call: Callable[[], Awaitable[T]], *, local: bool = False) -> T:
        """Count the call, refuse it when the client is closed: see the module's docstring.
        `local`: it needs no connection, only the library."""
        if self._stopped or (self._closed and not local) or not self._client_known():
            raise Unavailable("the session is not connected to WhatsApp", retry_after=1)
        self._calls += 1
        self._idle.clear()
        try:
            return await call()
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    def _client_known(self) -> bool:
        connecting = self._connecting
        return connecting is not None and not connecting.done() and self._stream.begun.is_set()

    # -- events: Go thread → queue of the loop → session, one at a time ---------------------------

    def _post(self, loop: asyncio.AbstractEventLoop, event: WhatsAppEvent) -> None:
        loop.call_soon_threadsafe(self._stream.accept, event)

    def _broken(self, error: BaseException | None) -> None:
        log.error("whatsapp.stream_broken", key=self._key, error=repr(error))
        self.on_broken(f"its events are not handed over any more: {error!r}")

    def _login_status(self, loop: asyncio.AbstractEventLoop, status: str) -> None:
        if status == "timeout":
            self._post(loop, QrTimedOut())
        elif status != "success":
            self._post(loop, Failed(reason=f"pairing ended: {status}"))

    def _understood(self, code: int, raw: bytes, own_jid: str = "") -> WhatsAppEvent | None:
        """What the library's words mean, within bounds. Raises whatever malformed words make."""
        if code == 0:
            device = pb.Device.FromString(raw)
            self._paired = True
            self.me = _me(repaired(device))
            return Paired(me=self.me)
        kind = _SUBSCRIBED.get(code)
        if kind is None:
            return None
        said = repaired(kind.FromString(raw))
        if self._debug:
            log.info("whatsapp.said", key=self._key, said=kind.__name__, size=len(raw))
        if self.engine_events and not own_jid and not isinstance(said, pb.HistorySync):
            self._post(self._loop, bounded(side_events.engine_event(said)))
        event = self._translate(said, own_jid)
        return bounded(event) if event is not None else None

    def _translate(self, event: Any, own_jid: str = "") -> WhatsAppEvent | None:
        match event:
            case pb.PairStatus():
                self._online = False
                self._paired = event.Status == pb.PairStatus.SUCCESS
                if not self._paired:
                    return Failed(reason=f"pairing failed: {event.Error}")
                return None  # the device event that follows carries the LID as well
            case pb.Connected():
                self._paired = self._online = True
                return Connected()
            case pb.Disconnected():
                self._online = False
                self.presences.clear()
                self.groups.forget()
                return Disconnected()
            case pb.Presence() | pb.ChatPresence():
                self.presences.take(event)
                return side_events.side_events_of(event, frozenset())
            case pb.JoinedGroup() | pb.GroupInfoEvent():
                self.groups.forget()
            case pb.StreamReplaced():
                return Replaced()
            case pb.LoggedOut():
                return LoggedOut(reason=_reason(event.Reason))
            case pb.TemporaryBan():
                return Banned(code=event.Code, expires_in=_seconds(event.Expire))
            case pb.ConnectFailure():
                name = _reason(event.Reason)
                return Failed(
                    reason=f"{name} {event.Message}".strip(), temporary=event.Reason not in _FATAL
                )
            case pb.ClientOutdated():
                return Failed(reason=outdated(), temporary=False)
            case pb.StreamError():
                return Failed(reason=f"stream error {event.Code}")
            case pb.Message():
                own = bare_jid(self.me.jid) if self.me else own_jid
                if event.Message.HasField("pollUpdateMessage"):
                    self._votes.keep(event)
                message = incoming.stored_message(event, own)
                return Received(
                    message=replace(message, reply_to=self._wire_ids.ours(message.reply_to))
                )
            case pb.HistorySync():
                own = bare_jid(self.me.jid) if self.me else own_jid
                return HistoryArrived(
                    kind=type(event.Data).HistorySyncType.Name(event.Data.syncType),
                    chunks=history.chunks_of(event.Data, own),
                )
            case pb.UndecryptableMessage():
                source = event.Info.MessageSource
                return Undecryptable(
                    message_id=event.Info.ID,
                    chat=incoming.chat_of(source),
                    sender=incoming.person(source.Sender, source.SenderAlt),
                )
            case pb.Receipt():
                source = event.MessageSource
                return ReceiptSeen(
                    chat=incoming.chat_of(source),
                    sender=incoming.person(source.Sender, source.SenderAlt),
                    chat_address=jids.to_text(source.Chat),
                    sender_address=jids.to_text(source.Sender),
                    message_ids=tuple(event.MessageIDs),
                    kind=_RECEIPTS.get(event.Type, "unknown"),
                    timestamp=incoming.timestamp(event.Timestamp),
                )
        own_jids = {bare_jid(self.me.jid), self.me.lid} if self.me else set[str]()
        return side_events.side_events_of(event, frozenset(own_jids))

    async def _with_phones(self, event: WhatsAppEvent) -> WhatsAppEvent:
        """People by phone number where the library knows it: one person is one chat."""
        match event:
            case Connected():
                await self.emit_name()
                return event
            case Received(message=message):
                message = await self._votes.opened(message, self.call)
                named = {bare_jid(jid) for jid in people_in(raw_of(message.payload) or {})}
                phones = {jid: await self.by_phone(jid) for jid in named if jid.endswith("@lid")}
                return replace(
                    event,
                    message=replace(
                        message,
                        chat=await self.by_phone(message.chat),
                        sender=await self.by_phone(message.sender),
                        payload=message.payload | ({"phones": phones} if phones else {}),
                    ),
                )
            case ReceiptSeen(message_ids=ids):
                chosen = message_id.PATCH.made() is not None
                return replace(
                    event,
                    message_ids=await self._wire_ids.all_ours(ids, chosen=chosen),
                    chat=await self.by_phone(event.chat),
                    sender=await self.by_phone(event.sender),
                )
            case Undecryptable():
                return replace(
                    event,
                    chat=await self.by_phone(event.chat),
                    sender=await self.by_phone(event.sender),
                )
            case ChatLabeled() | ChatArchived():
                return replace(event, chat=await self.by_phone(event.chat))
            case SideEvents(events=(("presence.update", payload),)):
                return SideEvents(events=(("presence.update", await self._seen_by_phone(payload)),))
            case SideEvents(events=events) if events:
                return replace(
                    event, events=tuple([(n, await self._named(n, p)) for n, p in events])
                )
            case _:
                return event

    async def _named(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Whom an event names, by phone number: callers, and beside their ids members of groups."""
        if name.startswith("call."):
            return payload | {"from": waha_id(await self.by_phone(payload["from"]))}
        if not name.startswith("group.v2."):
            return payload
        if name == "group.v2.join":
            group = payload["group"]
            return payload | {"group": group | {"participants": await self._members(group)}}
        found = {"participants": await self._members(payload)} if "participants" in payload else {}
        return payload | found

    async def _members(self, group: dict[str, Any]) -> list[dict[str, Any]]:
        members = []
        # Of very many, or with long names, what is over the bounds of an event is cut.
        for one in group.get("participants") or ():
            if not isinstance(one, dict) or not one.get("id"):
                continue
            phone = one.get("pn") or waha_id(await self.by_phone(one["id"]))
            members.append(one | {"pn": phone if phone.endswith("@c.us") else None})
        return members

    async def _seen_by_phone(self, payload: dict[str, Any]) -> dict[str, Any]:
        """A presence of people by phone number."""

        async def known(chat_id: str) -> str:
            return waha_id(await self.by_phone(chat_id))

        people = [
            one | {"participant": await known(one["participant"])} for one in payload["presences"]
        ]
        return payload | {"id": await known(payload["id"]), "presences": people}

    async def by_phone(self, jid: str) -> str:
        """See `actors.whatsapp.verbs.Device`."""
        if not jid.endswith("@lid"):
            return jid
        if jid not in self._phones:
            try:
                found = await self._call(
                    lambda: self._client.get_pn_from_lid(jids.from_text(bare_jid(jid))),
                    local=True,
                )
            except (GetJIDFromStoreError, Unavailable) as error:
                log.debug("whatsapp.no_phone_of_lid", error=str(error))
                return jid
            if not found.User:
                return jid
            self._phones[jid] = jids.to_text(found)
        return self._phones[jid]

    def _connect_ended(self, task: asyncio.Task[None]) -> None:
        if self._closed or task.cancelled():
            return
        error = task.exception()
        reason = f"the library ended: {error}" if error else "the library ended"
        self._stream.accept(Failed(reason=reason))


def classify_send(error: str) -> Exception:
    """Is a failed send final, because WhatsApp or the library will say the same again, or is it to
    be tried again? Unknown words mean the latter: the network has more of them than WhatsApp."""
    text = error.lower()
    code = _STATUS.search(text)
    refused = code is not None and 400 <= int(code[1]) < 500 and int(code[1]) not in _RETRIED
    if refused or any(part in text for part in _FINAL):
        return classify(error)
    # Before the library gave it to the socket nothing can have left.
    left = not any(part in text for part in (*_HERE, "not connected", "websocket is not"))
    return Unavailable(f"WhatsApp did not take it: {error}", retry_after=2, left=left)


def classify(error: str) -> Exception:
    """What a failed call was: no connection, no answer, or WhatsApp's no."""
    text = error.lower()
    if "no lid found" in text or "not on whatsapp" in text:
        return Invalid("the recipient is not on WhatsApp", field="chatId")
    if any(
        part in text
        for part in ("timed out", "disconnect", "websocket", "not connected", "eof", "closed")
    ):
        return Unavailable(f"WhatsApp did not answer: {error}", retry_after=2)
    if any(part in text for part in _HERE):
        return Unavailable(f"the message could not be prepared: {error}", retry_after=2)
    if _NO_RIGHT.search(text):
        return NotPermitted(f"WhatsApp does not let this account write there: {error}")
    return WhatsAppRefused(f"WhatsApp refused the message: {error}")


def _seconds(expire: int) -> int:
    # events.TemporaryBan.Expire is a time.Duration (nanoseconds)
    return int(expire / 1e9) if expire > 1e8 else int(expire)


def _reason(code: int) -> str:
    try:
        return str(pb.ConnectFailureReason.Name(code))
    except ValueError:
        # Newer than the library.
        return f"reason {code}"


def _me(device: pb.Device) -> Me:
    return Me(
        id=f"{device.JID.User}@c.us",
        push_name=device.PushName,
        lid=lid_jid(device.LID.User) if device.LID.User else "",
        jid=jids.to_text(device.JID, device=True),
    )
