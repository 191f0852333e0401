/** The chats of a session, and the one that is open. */

import { MessageCircle, MessageCirclePlus, QrCode } from "lucide-preact";
import { useState } from "preact/hooks";
import { at, get } from "../api";
import { useEvents, useQuery, useThrottled } from "../hooks";
import { go, sessionPath } from "../route";
import type { Chat, Status } from "../types";
import { Dialog } from "../ui/dialog";
import { Button, Empty, Trouble } from "../ui/parts";
import { clock, day, initials, person } from "../words";
import { Ack } from "./ack";
import { Conversation } from "./conversation";

export function ChatsTab({ name, chat, status, link }: { name: string; chat: string; status: Status; link: () => void }) {
  const chats = useQuery(() => get<Chat[]>(at`api/${name}/chats/overview?limit=100`), [name], 30_000);
  const refresh = useThrottled(chats.reload, 200);
  useEvents((event) => {
    if (event.session === name && event.event.startsWith("message")) refresh();
  });
  const [starting, setStarting] = useState(false);
  const list = chats.data ?? [];
  if (status === "SCAN_QR_CODE" && !list.length) {
    return (
      <div class="page">
        <Empty icon={QrCode} title="Waiting for a phone">
          <p>Scan the code with WhatsApp, or use a pairing code. Chats appear here then.</p>
          <Button tone="primary" icon={QrCode} onClick={link}>Link a phone</Button>
        </Empty>
      </div>
    );
  }
  const open = list.find((one) => one.id === chat);
  return (
    <div class={`chats ${chat ? "one-open" : ""}`}>
      <div class="chat-list">
        <div class="chat-list-head">
          <h2>Chats</h2>
          <span class="push" />
          <Button icon={MessageCirclePlus} tone="quiet" label="New chat" disabled={status !== "WORKING"} onClick={() => setStarting(true)} />
        </div>
        {chats.error && <Trouble error={chats.error} retry={chats.reload} />}
        {chats.data && !list.length && (
          <Empty icon={MessageCircle} title="No chats yet" bare>
            <p>Write to somebody, or wait for somebody to write.</p>
            <Button icon={MessageCirclePlus} disabled={status !== "WORKING"} onClick={() => setStarting(true)}>New chat</Button>
          </Empty>
        )}
        <ul>
          {list.map((one) => <Entry key={one.id} session={name} chat={one} open={one.id === chat} />)}
        </ul>
      </div>
      {chat ? (
        <Conversation key={chat} session={name} chat={chat} title={open?.name || person(chat)} working={status === "WORKING"} />
      ) : (
        <div class="no-chat only-wide"><Empty icon={MessageCircle} title="Choose a chat" bare /></div>
      )}
      {starting && <NewChat session={name} close={() => setStarting(false)} />}
    </div>
  );
}

function Entry({ session, chat, open }: { session: string; chat: Chat; open: boolean }) {
  const last = chat.lastMessage;
  const title = chat.name || person(chat.id);
  const ms = chat._chat.conversationTimestamp * 1000;
  return (
    <li>
      <a class="chat-entry" href={sessionPath(session, "chats", chat.id)} {...(open ? { "aria-current": "true" as const } : {})}>
        <span class="avatar" aria-hidden="true">{initials(title)}</span>
        <span class="cut">
          <span class="row"><b class="cut">{title}</b><time class="push">{day(ms) === "Today" ? clock(ms) : day(ms)}</time></span>
          <span class="row chat-last">
            {last?.fromMe && <Ack level={last.ack} />}
            <span class="cut">{last ? last.body || (last.hasMedia ? "A file" : "A message") : ""}</span>
            {chat._chat.unreadCount > 0 && <span class="unread push">{chat._chat.unreadCount}</span>}
          </span>
        </span>
      </a>
    </li>
  );
}

function NewChat({ session, close }: { session: string; close: () => void }) {
  const [to, setTo] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    const id = to.includes("@") ? to.trim() : `${to.replace(/\D/g, "")}@c.us`;
    close();
    go(sessionPath(session, "chats", id));
  };
  return (
    <Dialog title="New chat" close={close}>
      <form class="stack" onSubmit={submit}>
        <label class="field">
          <span>Number or chat id</span>
          <input class="input" required autoFocus name="to" placeholder="+49 151 00000002" value={to} onInput={(event) => setTo(event.currentTarget.value)} />
          <small>With country code. Groups by their id: …@g.us</small>
        </label>
        <div class="dialog-end"><Button tone="primary" type="submit">Open</Button></div>
      </form>
    </Dialog>
  );
}
