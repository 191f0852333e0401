/** One webhook of a session's configuration: added, edited, removed. */

import { Save, Trash2 } from "lucide-preact";
import { useState } from "preact/hooks";
import { at, put } from "../api";
import type { Session } from "../types";
import { Dialog } from "../ui/dialog";
import { Button, Notice } from "../ui/parts";
import { say } from "../ui/toast";

export interface Hook {
  url: string;
  events: string[];
  hmac?: { key: string } | null;
  [more: string]: unknown;
}

const USUAL = ["message", "message.ack", "session.status"];

/** `index`: one past the end of `hooks` makes a new one. */
export function HookDialog({ session, hooks, index, close, saved }: {
  session: Session;
  hooks: Hook[];
  index: number;
  close: () => void;
  saved: () => void;
}) {
  const before = hooks[index];
  const [url, setUrl] = useState(before?.url ?? "");
  const [events, setEvents] = useState((before?.events ?? USUAL).join(", "));
  const [key, setKey] = useState(before?.hmac?.key ?? "");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const store = async (webhooks: Hook[], words: string): Promise<void> => {
    setBusy(true);
    try {
      await put(at`api/sessions/${session.name}`, { config: { ...session.config, webhooks } });
    } catch (reason) {
      setError((reason as Error).message);
      setBusy(false);
      return;
    }
    say(session.gateway.desired === "RUNNING" ? `${words}; the session restarts with it` : words);
    close();
    saved();
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const named = events.split(",").map((one) => one.trim()).filter(Boolean);
    const hook: Hook = { ...before, url, events: named };
    if (key) hook.hmac = { key };
    else delete hook.hmac;
    const webhooks = [...hooks];
    webhooks[index] = hook;
    void store(webhooks, before ? "Saved" : "Added");
  };
  return (
    <Dialog title={before ? "Edit the webhook" : "New webhook"} close={close}>
      <form class="stack" onSubmit={submit}>
        {error && <Notice>{error}</Notice>}
        <label class="field"><span>URL</span>
          <input class="input mono" type="url" required autoFocus placeholder="https://example.com/hook" value={url} onInput={(event) => setUrl(event.currentTarget.value)} />
        </label>
        <label class="field"><span>Events</span>
          <input class="input mono" required value={events} onInput={(event) => setEvents(event.currentTarget.value)} />
          <small>Names with commas in between, or * for all.</small>
        </label>
        <label class="field"><span>Key of the signature</span>
          <input class="input mono" type="password" autoComplete="off" placeholder="unsigned" value={key} onInput={(event) => setKey(event.currentTarget.value)} />
          <small>{before?.hmac ? "*** stands for the one that is set." : "Receivers recognise forgeries by it."}</small>
        </label>
        <div class="dialog-end">
          {before && (
            <Button tone="danger" icon={Trash2} disabled={busy} onClick={() => void store(hooks.filter((_, i) => i !== index), "Removed")}>Remove</Button>
          )}
          <span class="push" />
          <Button onClick={close}>Cancel</Button>
          <Button tone="primary" type="submit" icon={Save} busy={busy}>{before ? "Save" : "Add"}</Button>
        </div>
      </form>
    </Dialog>
  );
}
