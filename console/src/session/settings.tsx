/** A session's configuration: webhooks and what to ignore as fields, all of it as JSON. */

import { Plus, Save, Trash2 } from "lucide-preact";
import { useState } from "preact/hooks";
import { at, put } from "../api";
import type { Session } from "../types";
import { Button, Notice } from "../ui/parts";
import { attempt } from "../ui/toast";
import type { Hook } from "./hook";

type Config = Record<string, unknown> & { webhooks?: Hook[]; ignore?: Record<string, boolean> };

const IGNORABLE = [["status", "Stories"], ["groups", "Groups"], ["channels", "Channels"], ["broadcast", "Broadcasts"]] as const;

export function SettingsTab({ session, saved }: { session: Session; saved: () => void }) {
  const stored = (session.config ?? {}) as Config;
  const [config, setConfig] = useState<Config>(stored);
  const [text, setText] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const hooks = config.webhooks ?? [];
  const setHooks = (webhooks: Hook[]): void => setConfig({ ...config, webhooks });
  const setHook = (index: number, change: Partial<Hook>): void =>
    setHooks(hooks.map((one, i) => (i === index ? { ...one, ...change } as Hook : one)));
  let wrong = "";
  if (text !== null) {
    try {
      JSON.parse(text);
    } catch (error) {
      wrong = (error as Error).message;
    }
  }
  const wanted = text !== null && !wrong ? (JSON.parse(text) as Config) : config;
  const changed = JSON.stringify(wanted) !== JSON.stringify(stored);
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    const running = session.gateway.desired === "RUNNING";
    if (await attempt(() => put(at`api/sessions/${session.name}`, { config: wanted }), running ? "Saved; the session restarts with it" : "Saved")) {
      setConfig(wanted);
      setText(null);
      saved();
    }
    setBusy(false);
  };
  return (
    <form class="page stack narrow" onSubmit={(event) => void save(event)}>
      {text === null ? (
        <>
          <fieldset class="card part">
            <legend class="out-of-sight">Webhooks</legend>
            <div class="row"><h2>Webhooks</h2><span class="push" /><Button icon={Plus} onClick={() => setHooks([...hooks, { url: "", events: ["message", "session.status"] }])}>Add</Button></div>
            {!hooks.length && <p class="muted small">None. Events can be had by server-sent events and by asking as well.</p>}
            {hooks.map((hook, index) => (
              <div class="hook" key={index}>
                <label class="field"><span>URL</span>
                  <input class="input mono" type="url" required placeholder="https://example.com/hook" value={hook.url} onInput={(event) => setHook(index, { url: event.currentTarget.value })} />
                </label>
                <label class="field"><span>Events</span>
                  <input class="input mono" value={hook.events.join(", ")} onChange={(event) => setHook(index, { events: event.currentTarget.value.split(",").map((one) => one.trim()).filter(Boolean) })} />
                  <small>Names with commas in between, or * for all.</small>
                </label>
                <label class="field"><span>Key of the signature</span>
                  <input class="input mono" type="password" autoComplete="off" placeholder="unsigned" value={hook.hmac?.key ?? ""} onInput={(event) => setHook(index, { hmac: { key: event.currentTarget.value } })} />
                </label>
                <Button icon={Trash2} tone="danger" onClick={() => setHooks(hooks.filter((_, i) => i !== index))}>Remove</Button>
              </div>
            ))}
          </fieldset>
          <fieldset class="card part">
            <legend class="out-of-sight">Ignore</legend>
            <h2>Ignore</h2>
            <p class="muted small">Events of such chats are not emitted.</p>
            {IGNORABLE.map(([key, words]) => (
              <label class="check" key={key}>
                <input
                  type="checkbox"
                  checked={Boolean(config.ignore?.[key])}
                  onChange={(event) => setConfig({ ...config, ignore: { ...config.ignore, [key]: event.currentTarget.checked } })}
                />
                {words}
              </label>
            ))}
          </fieldset>
        </>
      ) : (
        <label class="field"><span>Configuration</span>
          <textarea class="input mono" rows={18} spellcheck={false} value={text} aria-invalid={Boolean(wrong)} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
      )}
      {wrong && <Notice>{wrong}</Notice>}
      <div class="row wrap">
        <Button tone="quiet" disabled={Boolean(wrong)} onClick={() => {
          if (text === null) setText(JSON.stringify(config, null, 2));
          else {
            setConfig(wanted);
            setText(null);
          }
        }}>{text === null ? "Edit as JSON" : "Back to the form"}</Button>
        <span class="push" />
        {changed && <Button onClick={() => { setConfig(stored); setText(null); }}>Discard</Button>}
        <Button tone="primary" type="submit" icon={Save} busy={busy} disabled={!changed || Boolean(wrong)}>Save</Button>
      </div>
    </form>
  );
}
