/** Events that no webhook took in all its tries, of all sessions: tried again, or given up. */

import { MailCheck, RotateCw, Trash2 } from "lucide-preact";
import { useState } from "preact/hooks";
import { at, get, post, remove } from "../api";
import { useNow, useQuery } from "../hooks";
import { sessionPath } from "../route";
import type { SessionDeadLetter } from "../types";
import { Confirm } from "../ui/dialog";
import { Bones, Button, Empty, Trouble } from "../ui/parts";
import { attempt, say } from "../ui/toast";
import { age } from "../words";

const PAGE = 200;

export function LettersPage() {
  const letters = useQuery(() => get<SessionDeadLetter[]>(`api/vitals/dead-letters?limit=${PAGE}`), [], 5_000);
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const [busy, setBusy] = useState(false);
  const [leaving, setLeaving] = useState(false);
  const now = useNow(5_000);
  const all = letters.data ?? [];
  const picked = all.filter((one) => chosen.has(one.id));
  const meant = picked.length ? picked : all;
  const choose = (some: SessionDeadLetter[], on: boolean): void => {
    const next = new Set(chosen);
    for (const { id } of some) if (on) next.add(id); else next.delete(id);
    setChosen(next);
  };
  const each = async (act: (session: string, ids: number[]) => Promise<number>, done: string): Promise<void> => {
    setBusy(true);
    const bySession = new Map<string, number[]>();
    for (const one of meant) bySession.set(one.session, [...(bySession.get(one.session) ?? []), one.id]);
    await attempt(async () => {
      let count = 0;
      for (const [session, ids] of bySession) count += await act(session, ids);
      say(`${count} ${count === 1 ? "event" : "events"} ${done}`);
    });
    setBusy(false);
    setChosen(new Set());
    letters.reload();
  };
  const replay = (): Promise<void> => each(
    async (session, ids) => (await post<{ count: number }>(at`api/${session}/webhooks/dead-letters/replay`, { ids })).count,
    "on the way again",
  );
  const giveUp = (): Promise<void> => each(async (session, ids) => {
    for (const id of ids) await remove(at`api/${session}/webhooks/dead-letters/${id}`);
    return ids.length;
  }, "given up");
  return (
    <div class="page wide">
      <div class="page-head">
        <div>
          <h1>Dead letters</h1>
          <p>Events that a webhook did not take in all its tries. What came after them went on.</p>
        </div>
        {all.length > 0 && (
          <div class="actions">
            <Button icon={Trash2} disabled={busy} onClick={() => setLeaving(true)}>{picked.length ? `Give up ${picked.length}` : "Give all up"}</Button>
            <Button tone="primary" icon={RotateCw} busy={busy} onClick={() => void replay()}>{picked.length ? `Replay ${picked.length}` : "Replay all"}</Button>
          </div>
        )}
      </div>
      {letters.error && <Trouble error={letters.error} retry={letters.reload} />}
      {letters.loading && <Bones count={1} height={160} />}
      {letters.data && !all.length && (
        <Empty icon={MailCheck} title="Nothing is left over">
          <p>Every event was taken, or is being tried. What is not taken in all its tries waits here.</p>
        </Empty>
      )}
      {all.length > 0 && (
        <div class="card table-box stacks letters">
          <table>
            <thead>
              <tr>
                <th class="pick"><input type="checkbox" aria-label="Choose all" checked={picked.length === all.length} onChange={(event) => choose(all, event.currentTarget.checked)} /></th>
                <th>Session</th><th>Event</th><th>Receiver</th><th>Why</th><th class="number">Tries</th><th class="number">Died</th>
              </tr>
            </thead>
            <tbody>
              {all.map((one) => (
                <tr key={one.id} data-letter={one.id} class={chosen.has(one.id) ? "chosen" : ""}>
                  <td class="pick"><input type="checkbox" aria-label={`Choose event ${one.seq} of ${one.session}`} checked={chosen.has(one.id)} onChange={(event) => choose([one], event.currentTarget.checked)} /></td>
                  <td data-label="Session"><a href={sessionPath(one.session, "webhooks")}>{one.session}</a></td>
                  <td data-label="Event"><div><span class="mono">{one.event}</span> <span class="muted small">no. {one.seq}</span></div></td>
                  <td data-label="Receiver" class="mono"><span class="cut" title={one.url}>{one.url}</span></td>
                  <td data-label="Why" class="why"><div>{one.status && <span class="pill bad">{one.status}</span>} <span class="muted">{one.error}</span></div></td>
                  <td data-label="Tries" class="number">{one.attempts}</td>
                  <td data-label="Died" class="number">{age(one.diedAt, now)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {all.length === PAGE && <p class="muted small part">The newest {PAGE}: there are more behind them.</p>}
        </div>
      )}
      {leaving && (
        <Confirm
          title={`Give ${meant.length} ${meant.length === 1 ? "event" : "events"} up?`}
          text="They will never be delivered. They stay in the sessions' events."
          verb="Give up"
          close={() => setLeaving(false)}
          act={() => void giveUp()}
        />
      )}
    </div>
  );
}
