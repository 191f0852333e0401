/** Receivers of a session's events: how they do, what they were sent, what they did not take. */

import { Inbox, Pencil, Plus, RotateCw, Send, Trash2, Webhook as WebhookIcon } from "lucide-preact";
import { useState } from "preact/hooks";
import { at, get, post, remove } from "../api";
import { useNow, useQuery } from "../hooks";
import type { DeadLetter, Delivery, Session, Webhook } from "../types";
import { Button, Empty, Trouble } from "../ui/parts";
import { attempt, say } from "../ui/toast";
import { age, clockSeconds } from "../words";
import { type Hook, HookDialog } from "./hook";

const LOOK_MS = 3_000;

export function WebhooksTab({ session, saved }: { session: Session; saved: () => void }) {
  const { name } = session;
  const configured = (session.config?.["webhooks"] ?? []) as Hook[];
  /** Which of the configured ones is open; one past the end: a new one. */
  const [open, setOpen] = useState<number>();
  const path = at`api/${name}/webhooks`;
  const hooks = useQuery(() => get<Webhook[]>(path), [path], LOOK_MS);
  const letters = useQuery(() => get<DeadLetter[]>(`${path}/dead-letters`), [path], LOOK_MS);
  const deliveries = useQuery(() => get<Delivery[]>(`${path}/deliveries?limit=50`), [path], LOOK_MS);
  const now = useNow();
  const reload = (): void => {
    hooks.reload();
    letters.reload();
    deliveries.reload();
  };
  const replay = (ids?: number[]): void => {
    void attempt(async () => {
      const found = await post<{ count: number }>(`${path}/dead-letters/replay`, ids ? { ids } : {});
      say(`${found.count} ${found.count === 1 ? "event goes" : "events go"} out again`);
    }).then(reload);
  };
  if (hooks.error) return <div class="page"><Trouble error={hooks.error} retry={reload} /></div>;
  const dialog = open !== undefined && (
    <HookDialog
      session={session}
      hooks={configured}
      index={open}
      close={() => setOpen(undefined)}
      saved={() => {
        saved();
        reload();
      }}
    />
  );
  if (hooks.data && !hooks.data.length) {
    return (
      <div class="page">
        <Empty icon={WebhookIcon} title="No webhook">
          <p>A webhook gets this session's events by POST: signed, in order, at least once, with retries.</p>
          <Button tone="primary" icon={Plus} onClick={() => setOpen(configured.length)}>Add a webhook</Button>
        </Empty>
        {dialog}
      </div>
    );
  }
  const dead = letters.data ?? [];
  return (
    <div class="page stack">
      <div class="row bar">
        <span class="muted small">Each gets what it asked for, in order.</span>
        <span class="push" />
        <Button icon={Plus} onClick={() => setOpen(configured.length)}>Add a webhook</Button>
      </div>
      {dialog}
      {(hooks.data ?? []).map((one) => {
        const index = one.origin === "session" ? configured.findIndex((hook) => hook.url === one.url) : -1;
        return <Receiver key={one.id} hook={one} path={path} now={now} done={reload} edit={index < 0 ? undefined : () => setOpen(index)} />;
      })}
      {dead.length > 0 && (
        <section class="card" aria-labelledby="dead">
          <div class="section-head">
            <h2 id="dead">Dead letters</h2>
            <span class="pill bad">{dead.length}</span>
            <span class="push" />
            <Button icon={RotateCw} onClick={() => replay()}>Replay all</Button>
          </div>
          <div class="table-box stacks">
            <table>
              <thead><tr><th>Event</th><th>No.</th><th>Tries</th><th>Why</th><th>Died</th><th /></tr></thead>
              <tbody>
                {dead.map((one) => (
                  <tr key={one.id}>
                    <td data-label="Event" class="mono">{one.event}</td>
                    <td data-label="No." class="mono">{one.seq}</td>
                    <td data-label="Tries">{one.attempts}</td>
                    <td data-label="Why">{one.status ?? ""} {one.error}</td>
                    <td data-label="Died">{age(one.diedAt, now)}</td>
                    <td class="deeds">
                      <div class="row">
                        <Button compact icon={RotateCw} onClick={() => replay([one.id])}>Replay</Button>
                        <Button compact tone="quiet" icon={Trash2} label="Give it up" onClick={() => void attempt(() => remove(`${path}/dead-letters/${one.id}`)).then(reload)} />
                      </div>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </section>
      )}
      <section class="card" aria-labelledby="log">
        <div class="section-head"><h2 id="log">Deliveries</h2><span class="muted small push">Every try, newest first</span></div>
        {deliveries.data?.length ? (
          <div class="table-box stacks">
            <table>
              <thead><tr><th>Time</th><th>Event</th><th>No.</th><th>Try</th><th>Answer</th><th>Took</th></tr></thead>
              <tbody>
                {deliveries.data.map((one) => (
                  <tr key={one.id}>
                    <td data-label="Time" class="mono">{clockSeconds(Date.parse(one.at))}</td>
                    <td data-label="Event" class="mono">{one.event}</td>
                    <td data-label="No." class="mono">{one.seq}</td>
                    <td data-label="Try">{one.attempt}</td>
                    <td data-label="Answer"><div><span class={`pill ${one.error ? "bad" : "ok"}`}>{one.status ?? "none"}</span> <span class="muted">{one.error}</span></div></td>
                    <td data-label="Took" class="mono">{Math.round(one.milliseconds)} ms</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        ) : <Empty icon={Inbox} title="Nothing delivered yet" bare />}
      </section>
    </div>
  );
}

function Receiver({ hook, path, now, done, edit }: {
  hook: Webhook;
  path: string;
  now: number;
  done: () => void;
  /** Undefined for those that the gateway's settings have. */
  edit: (() => void) | undefined;
}) {
  const [busy, setBusy] = useState(false);
  const open = hook.circuitOpenUntil !== null && Date.parse(hook.circuitOpenUntil) > now;
  const [tone, words] = open ? ["bad", "Left alone for now"] : hook.attempts ? ["warn", `Trying again (${hook.attempts})`] : ["ok", "Healthy"];
  const test = async (): Promise<void> => {
    setBusy(true);
    await attempt(async () => {
      const found = await post<{ delivered: boolean; status: number | null; error: string | null; milliseconds: number }>(`${path}/test`, { webhook: hook.id });
      say(found.delivered ? `Taken: ${found.status} in ${Math.round(found.milliseconds)} ms` : `Not taken: ${found.error ?? found.status}`, !found.delivered);
    });
    setBusy(false);
    done();
  };
  return (
    <article class="card receiver">
      <div class="row wrap">
        <b class="mono cut">{hook.url}</b>
        <span class={`pill ${tone}`}><span class="dot" />{words}</span>
        {hook.origin !== "session" && <span class="pill idle">{hook.origin}</span>}
        <span class="push" />
        {edit && <Button icon={Pencil} onClick={edit}>Edit</Button>}
        <Button icon={Send} busy={busy} onClick={() => void test()}>Send a test</Button>
      </div>
      <p class="muted small">{hook.events.join(", ") || "no events"} · {hook.behind ? `${hook.behind} wait` : "up to date"}{hook.lastError && ` · ${hook.lastError}`}</p>
    </article>
  );
}
