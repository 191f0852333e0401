/** Linking a phone: a QR code that renews itself, or a pairing code. */

import { CircleCheckBig, LoaderCircle, MessageCircle, ScanLine, Smartphone } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import { at, get, post } from "../api";
import { useEvents, useQuery } from "../hooks";
import { go, sessionPath } from "../route";
import type { Phone, Session } from "../types";
import { Dialog } from "../ui/dialog";
import { Button, Notice } from "../ui/parts";
import { Qr } from "../ui/qr";
import { attempt } from "../ui/toast";
import { person } from "../words";

const LOOK_MS = 1_500;

export function LinkDialog({ name, sandbox, close }: { name: string; sandbox: boolean; close: () => void }) {
  const [way, setWay] = useState<"qr" | "code">("qr");
  const session = useQuery(() => get<Session>(at`api/sessions/${name}`), [name], LOOK_MS);
  useEvents((event) => {
    if (event.session === name && event.event === "session.status") session.reload();
  });
  const status = session.data?.status;
  return (
    <Dialog title={`Link ${name}`} close={close}>
      {status === "WORKING" ? (
        <Linked session={session.data!} close={close} />
      ) : status === "FAILED" || status === "STOPPED" ? (
        <Ended name={name} reason={session.data?.gateway.reason} started={session.reload} />
      ) : (
        <>
          <div class="segments" role="tablist" aria-label="How to link">
            <button type="button" role="tab" aria-selected={way === "qr"} onClick={() => setWay("qr")}>QR code</button>
            <button type="button" role="tab" aria-selected={way === "code"} onClick={() => setWay("code")}>Pairing code</button>
          </div>
          {way === "qr" ? <ByQr name={name} sandbox={sandbox} /> : <ByCode name={name} ready={status === "SCAN_QR_CODE"} />}
        </>
      )}
    </Dialog>
  );
}

function ByQr({ name, sandbox }: { name: string; sandbox: boolean }) {
  const [text, setText] = useState("");
  useEffect(() => {
    let gone = false;
    const look = async (): Promise<void> => {
      try {
        const found = await get<{ value: string }>(at`api/${name}/auth/qr?format=raw`);
        if (!gone) setText(found.value);
      } catch {
        // None on show at this moment: the next look finds the next one.
      }
    };
    void look();
    const timer = setInterval(() => void look(), LOOK_MS);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [name]);
  return (
    <>
      <div class="qr" data-qr={text}>{text ? <Qr text={text} /> : <LoaderCircle class="spin" aria-label="The code is being made" />}</div>
      {sandbox ? <ByVirtualPhone text={text} /> : (
        <ol class="steps">
          <li>Open WhatsApp on the phone</li>
          <li>Settings, Linked devices, Link a device</li>
          <li>Point it at this code. It renews itself.</li>
        </ol>
      )}
    </>
  );
}

function ByVirtualPhone({ text }: { text: string }) {
  const phones = useQuery(() => get<Phone[]>("api/sandbox/phones"), []);
  const [chosen, setChosen] = useState("");
  const [busy, setBusy] = useState(false);
  const free = phones.data?.filter((one) => !one.devices.length) ?? [];
  const number = chosen || free[0]?.number || "new";
  const scan = async (): Promise<void> => {
    setBusy(true);
    await attempt(async () => {
      let scanner = number;
      if (scanner === "new") {
        scanner = String(4915100000000 + Math.floor(Math.random() * 90_000_000));
        await post("api/sandbox/phones", { number: scanner, name: "" });
      }
      await post(at`api/sandbox/phones/${scanner}/scan`, { qr: text });
    });
    setBusy(false);
  };
  return (
    <div class="row">
      <select class="input" aria-label="Virtual phone" value={number} onChange={(event) => setChosen(event.currentTarget.value)}>
        {(phones.data ?? []).map((one) => (
          <option key={one.number} value={one.number}>{one.name && one.name !== one.number ? `${one.name}, ` : ""}{person(one.number)}</option>
        ))}
        <option value="new">A new virtual phone</option>
      </select>
      <Button tone="primary" icon={ScanLine} busy={busy} disabled={!text || phones.loading} onClick={() => void scan()}>Scan</Button>
    </div>
  );
}

function ByCode({ name, ready }: { name: string; ready: boolean }) {
  const [number, setNumber] = useState("");
  const [code, setCode] = useState("");
  const [busy, setBusy] = useState(false);
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    await attempt(async () => {
      const found = await post<{ code: string }>(at`api/${name}/auth/request-code`, { phoneNumber: number.replace(/\D/g, "") });
      setCode(found.code);
    });
    setBusy(false);
  };
  return (
    <form class="stack" onSubmit={(event) => void ask(event)}>
      <label class="field">
        <span>Number of the phone</span>
        <input class="input" type="tel" required placeholder="+49 151 00000001" value={number} onInput={(event) => setNumber(event.currentTarget.value)} />
        <small>With country code.</small>
      </label>
      {code ? (
        <>
          <output class="code" aria-label="Pairing code">{code}</output>
          <p class="muted small">On the phone: Linked devices, Link a device, Link with phone number instead.</p>
        </>
      ) : (
        <Button tone="primary" type="submit" icon={Smartphone} busy={busy} disabled={!ready}>Get a code</Button>
      )}
    </form>
  );
}

function Linked({ session, close }: { session: Session; close: () => void }) {
  return (
    <>
      <div class="done" role="status">
        <CircleCheckBig size={44} strokeWidth={1.6} />
        <h2>Linked</h2>
        <p class="muted">{[session.me?.pushName, session.me && person(session.me.id)].filter(Boolean).join(" · ")}</p>
      </div>
      <div class="dialog-end">
        <Button onClick={close}>Close</Button>
        <Button tone="primary" icon={MessageCircle} autoFocus onClick={() => { close(); go(sessionPath(session.name)); }}>Open chats</Button>
      </div>
    </>
  );
}

function Ended({ name, reason, started }: { name: string; reason: string | null | undefined; started: () => void }) {
  return (
    <>
      <Notice tone="warn">{reason || "The session is stopped. Nobody scanned its code in time, perhaps."}</Notice>
      <div class="dialog-end">
        <Button tone="primary" onClick={() => void attempt(() => post(at`api/sessions/${name}/start`)).then(started)}>Start it again</Button>
      </div>
    </>
  );
}
