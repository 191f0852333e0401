/** A virtual phone: what it decrypted, and writing from it. */

import { Paperclip, SendHorizontal, Smartphone } from "lucide-preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { at, get, post } from "../api";
import { Ack } from "../session/ack";
import { base64, Blob_ } from "../session/media";
import type { InboxEntry, Phone } from "../types";
import { Button, Empty } from "../ui/parts";
import { attempt } from "../ui/toast";
import { clock, person } from "../words";
import { titleOf } from "./dock";

interface Said {
  id: string;
  to: string;
  text: string;
  at: number;
}

/** What was written from a phone in this window: the sandbox keeps what a phone received only. */
const written = {
  of: (number: string): Said[] => JSON.parse(sessionStorage.getItem(`written:${number}`) ?? "[]") as Said[],
  keep: (number: string, said: Said[]): void => sessionStorage.setItem(`written:${number}`, JSON.stringify(said.slice(-WRITTEN))),
};
const WRITTEN = 200;
const WAIT_SECONDS = 20;
const digits = (id: string): string => id.split("@")[0]!.split(":")[0]!;
const MEDIA: Record<string, string> = { imageMessage: "image/jpeg", videoMessage: "video/mp4", audioMessage: "audio/ogg", documentMessage: "application/octet-stream", stickerMessage: "image/webp" };

function useInbox(number: string): InboxEntry[] {
  const [entries, setEntries] = useState<InboxEntry[]>([]);
  useEffect(() => {
    let gone = false;
    const keep = async (): Promise<void> => {
      let after = 0;
      while (!gone) {
        try {
          const path = at`api/sandbox/phones/${number}/inbox?kind=&wait=${after ? WAIT_SECONDS : 0}&after=${after}`;
          const { entries: found } = await get<{ entries: InboxEntry[] }>(path);
          if (gone) return;
          if (found.length) setEntries((before) => [...before, ...found]);
          after = found.at(-1)?.seq ?? (after || 1);
        } catch {
          // The gateway or the sandbox is unreachable: the next poll finds what was missed.
          await new Promise((resolve) => setTimeout(resolve, 2_000));
        }
      }
    };
    void keep();
    return () => {
      gone = true;
    };
  }, [number]);
  return entries;
}

export function PhoneScreen({ phone, phones }: { phone: Phone; phones: Phone[] }) {
  const entries = useInbox(phone.number);
  const [mine, setMine] = useState(() => written.of(phone.number));
  const others = phones.filter((one) => one.number !== phone.number);
  const met = [...new Set(entries.filter((one) => one.kind === "message").map((one) => digits(one.chat)))];
  const [chosen, setChosen] = useState("");
  const to = chosen || met.at(-1) || others.find((one) => one.devices.length)?.number || others[0]?.number || "";
  const received = entries.filter((one) => one.kind === "message" && digits(one.chat) === to && (one.text || MEDIA[one.type]));
  const acks = new Map<string, number>();
  for (const one of entries) {
    if (one.kind !== "receipt") continue;
    const level = one.type === "read" ? 3 : 2;
    for (const id of one.ids ?? []) acks.set(id, Math.max(level, acks.get(id) ?? 0));
  }
  const lines = [
    ...received.map((one) => ({ key: `r${one.seq}`, at: one.received_at * 1000, out: one.from_me, entry: one, said: null })),
    ...mine.filter((one) => one.to === to).map((one) => ({ key: `s${one.id}`, at: one.at, out: true, entry: null, said: one })),
  ].sort((a, b) => a.at - b.at);
  const end = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => end.current?.scrollIntoView({ block: "nearest" }), [lines.length]);

  const unread = received.filter((one) => !one.from_me).map((one) => one.id);
  const newest = unread.at(-1);
  useEffect(() => {
    // The phone is open: the sender gets read receipts.
    if (newest) post(at`api/sandbox/phones/${phone.number}/read`, { message_ids: unread.slice(-20) }).catch(() => undefined);
  }, [newest]);

  const add = (said: Said): void => {
    const now = [...written.of(phone.number), said];
    written.keep(phone.number, now);
    setMine(now);
  };
  if (!to) {
    return (
      <Empty icon={Smartphone} title="Nobody to write to" bare>
        <p>Add a second phone and link it to a session: then these two can talk.</p>
      </Empty>
    );
  }
  const choices = [...new Set([...met, ...others.map((one) => one.number), to])];
  return (
    <>
      <label class="phone-to">
        <span class="muted small">Chat with</span>
        <select class="input" value={to} aria-label="Chat with" onChange={(event) => setChosen(event.currentTarget.value)}>
          {choices.map((number) => {
            const other = others.find((one) => one.number === number);
            return <option key={number} value={number}>{other ? titleOf(other) : person(number)}</option>;
          })}
        </select>
      </label>
      <div class="wall" role="log" aria-label="Messages on the phone" tabIndex={0}>
        {!lines.length && <p class="day">Nothing yet. What arrives here was decrypted by the phone itself.</p>}
        {lines.map((one) => (
          <div key={one.key} class={`bubble ${one.out ? "out" : "in"}`}>
            {one.entry && MEDIA[one.entry.type] && (
              <Blob_ path={at`api/sandbox/phones/${phone.number}/inbox/${one.entry.id}/media`} type={MEDIA[one.entry.type]!} name="file" />
            )}
            {(one.entry?.text || one.said?.text) && <p class="said">{one.entry?.text ?? one.said?.text}</p>}
            <span class="bubble-foot">{clock(one.at)}{one.said && <Ack level={acks.get(one.said.id) ?? 1} />}</span>
          </div>
        ))}
        <div ref={end} />
      </div>
      <Composer phone={phone} to={to} add={add} />
    </>
  );
}

function Composer({ phone, to, add }: { phone: Phone; to: string; add: (said: Said) => void }) {
  const [text, setText] = useState("");
  const picker = useRef<HTMLInputElement>(null);
  const send = async (body: Record<string, unknown>, shown: string): Promise<void> => {
    await attempt(async () => {
      const sent = await post<{ id: string }>(at`api/sandbox/phones/${phone.number}/messages`, { to, ...body });
      add({ id: sent.id, to, text: shown, at: Date.now() });
    });
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const said = text.trim();
    if (!said) return;
    setText("");
    void send({ text: said }, said);
  };
  const attach = async (file: File | undefined): Promise<void> => {
    if (!file) return;
    const media = file.type.startsWith("image/") ? "image" : "document";
    await send({ media, mimetype: file.type || "application/octet-stream", filename: file.name, data: await base64(file) }, file.name);
  };
  return (
    <form class="composer" onSubmit={submit}>
      <div class="row">
        <input ref={picker} type="file" class="out-of-sight" tabIndex={-1} aria-label="File from the phone" onChange={(event) => void attach(event.currentTarget.files?.[0])} />
        <Button icon={Paperclip} tone="quiet" label="Attach a file on the phone" onClick={() => picker.current?.click()} />
        <input class="input" aria-label="Message from the phone" placeholder={`Write as ${titleOf(phone)}`} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        <Button icon={SendHorizontal} tone="primary" label="Send from the phone" type="submit" disabled={!text.trim()} />
      </div>
    </form>
  );
}
