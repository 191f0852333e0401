/** One chat: its messages, and writing to it. */

import { ChevronLeft, Paperclip, SendHorizontal, X } from "lucide-preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { at, get, post } from "../api";
import { useEvents, useQuery, useThrottled } from "../hooks";
import { sessionPath } from "../route";
import type { Message } from "../types";
import { Button, Trouble } from "../ui/parts";
import { say } from "../ui/toast";
import { clock, day, initials, person } from "../words";
import { Ack } from "./ack";
import { base64, File_ } from "./media";

const PAGE = 100;
const MOST_BYTES = 16 * 1024 * 1024;

interface Draft {
  /** The message's id, of our own making: sending again is the same message. */
  id: string;
  body: string;
  file: File | null;
  at: number;
  failed: string;
}

const newId = (): string =>
  `3EB0${[...crypto.getRandomValues(new Uint8Array(9))].map((one) => one.toString(16).padStart(2, "0")).join("").toUpperCase()}`;
const bare = (id: string): string => id.split("_")[2] ?? id;

export function Conversation({ session, chat, title, working }: { session: string; chat: string; title: string; working: boolean }) {
  const path = at`api/${session}/chats/${chat}/messages`;
  const history = useQuery(() => get<Message[]>(`${path}?limit=${PAGE}`), [path], 20_000);
  const [acks, setAcks] = useState<Record<string, number>>({});
  const [drafts, setDrafts] = useState<Draft[]>([]);
  const [more, setMore] = useState<Message[]>([]);
  const refresh = useThrottled(history.reload, 120);
  const end = useRef<HTMLDivElement>(null);
  const wall = useRef<HTMLDivElement>(null);
  const near = useRef(true);

  useEvents((event) => {
    if (event.session !== session) return;
    if (event.event.startsWith("message.ack")) {
      const receipt = event.payload as { id: string; ack: number };
      setAcks((before) => ({ ...before, [bare(receipt.id)]: Math.max(receipt.ack, before[bare(receipt.id)] ?? 0) }));
    } else if (event.event === "message.any" || event.event === "message") {
      const message = event.payload as unknown as Message;
      if (message.from !== chat && message.to !== chat) return;
      setMore((before) => [...before.filter((one) => one.id !== message.id), message]);
    } else if (event.event.startsWith("message.")) {
      refresh();
    }
  });
  // Newest first, and times are in seconds: of the same second, the order of the history counts.
  const known = new Map((history.data ?? []).toReversed().map((one) => [bare(one.id), one]));
  for (const one of more) if (!known.has(bare(one.id))) known.set(bare(one.id), one);
  const messages = [...known.values()].sort((a, b) => a.timestamp - b.timestamp);
  const waiting = drafts.filter((one) => !known.has(one.id));
  const shown = messages.length + waiting.length;
  useLayoutEffect(() => {
    if (near.current) end.current?.scrollIntoView({ block: "end" });
  }, [shown]);

  const unread = messages.some((one) => !one.fromMe);
  useEffect(() => {
    if (!unread || !working) return;
    // A refusal (the session moves, say) is no matter: the next look reads them.
    post(`${path}/read`, {}).catch(() => undefined);
  }, [path, messages.length, working]);

  const send = async (body: string, file: File | null, id = newId()): Promise<void> => {
    const draft: Draft = { id, body, file, at: Date.now(), failed: "" };
    near.current = true;
    setDrafts((before) => [...before, draft]);
    try {
      const sent = await deliver(session, chat, draft);
      if (!file) setMore((before) => [...before, sent]);
      history.reload();
    } catch (error) {
      const failed = (error as Error).message;
      setDrafts((before) => before.map((one) => (one.id === id ? { ...one, failed } : one)));
      say(failed, true);
    }
  };
  const retry = (draft: Draft): void => {
    setDrafts((before) => before.filter((one) => one.id !== draft.id));
    void send(draft.body, draft.file, draft.id);
  };

  let lastDay = "";
  return (
    <section class="conversation" aria-label={`Chat with ${title}`}>
      <header class="conversation-head">
        <a class="button quiet icon back" href={sessionPath(session)} aria-label="All chats"><ChevronLeft size={18} /></a>
        <span class="avatar" aria-hidden="true">{initials(title)}</span>
        <div class="cut"><b class="cut">{title}</b><p class="muted small cut">{person(chat)}</p></div>
      </header>
      <div
        class="wall"
        ref={wall}
        tabIndex={0}
        role="log"
        aria-label="Messages"
        onScroll={() => {
          const box = wall.current!;
          near.current = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
        }}
      >
        {history.error && <Trouble error={history.error} retry={history.reload} />}
        {messages.map((one) => {
          const today = day(one.timestamp * 1000);
          const header = today !== lastDay && <p class="day" key={today}>{today}</p>;
          lastDay = today;
          return [header, <Bubble key={one.id} session={session} message={one} ack={Math.max(one.ack, acks[bare(one.id)] ?? -2)} />];
        })}
        {waiting.map((one) => (
          <div key={one.id} class="bubble out draft" data-ack={one.failed ? -1 : 0}>
            {one.file && <p class="muted small">{one.file.name}</p>}
            {one.body && <p class="said">{one.body}</p>}
            <span class="bubble-foot">
              {one.failed ? <button type="button" class="again" onClick={() => retry(one)}>Not sent. Try again</button> : null}
              {clock(one.at)}<Ack level={one.failed ? -1 : 0} />
            </span>
          </div>
        ))}
        <div ref={end} />
      </div>
      <Composer send={send} working={working} />
    </section>
  );
}

async function deliver(session: string, chat: string, draft: Draft): Promise<Message> {
  if (!draft.file) return post<Message>("api/sendText", { session, chatId: chat, id: draft.id, text: draft.body });
  const file = {
    mimetype: draft.file.type || "application/octet-stream",
    filename: draft.file.name,
    data: await base64(draft.file),
  };
  const verb = /^image\/(jpeg|png|webp|gif)$/.test(file.mimetype) ? "sendImage" : "sendFile";
  return post<Message>(`api/${verb}`, { session, chatId: chat, id: draft.id, file, ...(draft.body ? { caption: draft.body } : {}) });
}

function Bubble({ session, message, ack }: { session: string; message: Message; ack: number }) {
  return (
    <div class={`bubble ${message.fromMe ? "out" : "in"}`} data-message={bare(message.id)}>
      {message.participant && !message.fromMe && <b class="who">{person(message.participant)}</b>}
      {message.hasMedia && <File_ session={session} message={message} />}
      {message.body && <p class="said">{message.body}</p>}
      <span class="bubble-foot">{clock(message.timestamp * 1000)}{message.fromMe && <Ack level={ack} />}</span>
    </div>
  );
}

function Composer({ send, working }: { send: (body: string, file: File | null) => Promise<void>; working: boolean }) {
  const [text, setText] = useState("");
  const [file, setFile] = useState<File | null>(null);
  const picker = useRef<HTMLInputElement>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  const ready = Boolean(text.trim() || file);
  const submit = (event?: Event): void => {
    event?.preventDefault();
    if (!ready) return;
    void send(text.trim(), file);
    setText("");
    setFile(null);
    if (picker.current) picker.current.value = "";
    box.current?.focus();
  };
  const pick = (chosen: File | undefined): void => {
    if (!chosen) return;
    if (chosen.size > MOST_BYTES) say("Files up to 16 MB here; larger ones by the API.", true);
    else setFile(chosen);
  };
  return (
    <form
      class="composer"
      onSubmit={submit}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        pick(event.dataTransfer?.files[0]);
      }}
    >
      {!working && <p class="disconnected" role="status">The session is not connected at the moment. What you send is accepted as soon as it is back.</p>}
      {file && (
        <p class="attached">
          <Paperclip size={14} /><span class="cut">{file.name}</span>
          <Button icon={X} tone="quiet" compact label="Take the file off" onClick={() => setFile(null)} />
        </p>
      )}
      <div class="row">
        <input ref={picker} type="file" class="out-of-sight" tabIndex={-1} aria-label="File" onChange={(event) => pick(event.currentTarget.files?.[0])} />
        <Button icon={Paperclip} tone="quiet" label="Attach a file" onClick={() => picker.current?.click()} />
        <textarea
          ref={box}
          class="input"
          rows={1}
          aria-label="Message"
          placeholder="Message"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
          }}
        />
        <Button icon={SendHorizontal} tone="primary" label="Send" type="submit" disabled={!ready} />
      </div>
    </form>
  );
}
