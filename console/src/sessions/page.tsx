/** All sessions, as cards. */

import { MessagesSquare, Plus, QrCode, SearchX } from "lucide-preact";
import { useMemo, useState } from "preact/hooks";
import { get } from "../api";
import { useEvents, useNow, useQuery, useThrottled } from "../hooks";
import { sessionPath } from "../route";
import type { Access, Session, Status, Vitals } from "../types";
import { Bones, Button, Empty, StatusPill, Trouble } from "../ui/parts";
import { age, bytes, initials, person, STATUS_TONE, STATUS_WORDS } from "../words";
import { CreateDialog } from "./create";
import { LinkDialog } from "./link";

const ORDER: Status[] = ["WORKING", "SCAN_QR_CODE", "STARTING", "FAILED", "STOPPED"];
const MANY = 9;

export function SessionsPage({ access }: { access: Access }) {
  const sessions = useQuery(() => get<Session[]>("api/sessions?all=true"), [], 10_000);
  const vitals = useQuery(() => get<Vitals[]>("api/vitals"), [], 5_000);
  const refresh = useThrottled(() => {
    sessions.reload();
    vitals.reload();
  }, 250);
  useEvents((event) => {
    if (event.event.startsWith("session.")) refresh();
  });
  const [creating, setCreating] = useState(false);
  const [linking, setLinking] = useState("");
  const [only, setOnly] = useState<Status | "">("");
  const [search, setSearch] = useState("");
  const byName = useMemo(() => new Map(vitals.data?.map((one) => [one.name, one])), [vitals.data]);
  const all = sessions.data ?? [];
  const shown = all.filter((one) =>
    (!only || one.status === only) && `${one.name} ${one.me?.pushName} ${one.me?.id}`.toLowerCase().includes(search.toLowerCase()));
  return (
    <div class="page">
      <div class="page-head">
        <div>
          <h1>Sessions</h1>
          <p>Each is one linked device, owned by one node at a time.</p>
        </div>
        <div class="actions">
          {all.length >= MANY && (
            <input
              class="input"
              type="search"
              placeholder="Name or number"
              aria-label="Find a session"
              value={search}
              onInput={(event) => setSearch(event.currentTarget.value)}
            />
          )}
          {access.admin && <Button tone="primary" icon={Plus} onClick={() => setCreating(true)}>New session</Button>}
        </div>
      </div>
      {sessions.error && <Trouble error={sessions.error} retry={sessions.reload} />}
      {sessions.loading && <Bones count={6} height={156} />}
      {sessions.data && !all.length && (
        <Empty icon={MessagesSquare} title="No session yet">
          <p>
            A session links this gateway to a WhatsApp account, as a phone's "linked device".
            {access.sandbox && " In the sandbox a virtual phone scans it, beside this page."}
          </p>
          {access.admin && <Button tone="primary" icon={Plus} onClick={() => setCreating(true)}>Create the first one</Button>}
        </Empty>
      )}
      {all.length > 1 && (
        <div class="filters" role="group" aria-label="Show sessions by status">
          <button type="button" class="chip" aria-pressed={only === ""} onClick={() => setOnly("")}>
            All <b>{all.length}</b>
          </button>
          {ORDER.map((status) => {
            const count = all.filter((one) => one.status === status).length;
            return count ? (
              <button key={status} type="button" class="chip" aria-pressed={only === status} onClick={() => setOnly(only === status ? "" : status)}>
                {STATUS_WORDS[status]} <b>{count}</b>
              </button>
            ) : null;
          })}
        </div>
      )}
      {all.length > 0 && !shown.length && <Empty icon={SearchX} title="No session is like that" bare />}
      <div class="grid">
        {shown.map((one) => (
          <Card key={one.name} session={one} vitals={byName.get(one.name)} link={() => setLinking(one.name)} />
        ))}
      </div>
      {creating && (
        <CreateDialog
          taken={new Set(all.map((one) => one.name))}
          close={() => setCreating(false)}
          created={(name) => {
            setCreating(false);
            setLinking(name);
            sessions.reload();
          }}
        />
      )}
      {linking && <LinkDialog name={linking} sandbox={access.sandbox} close={() => setLinking("")} />}
    </div>
  );
}

function Card({ session, vitals, link }: { session: Session; vitals: Vitals | undefined; link: () => void }) {
  const now = useNow();
  const { name, status, me, gateway } = session;
  return (
    <article class="card session-card" data-session={name}>
      <div class="row">
        <span class={`avatar ${STATUS_TONE[status]}`} aria-hidden="true">{initials(me?.pushName || name)}</span>
        <div class="cut">
          <h2 class="cut"><a href={sessionPath(name)}>{name}</a></h2>
          <p class="muted small cut">{me ? [me.pushName, person(me.id)].filter(Boolean).join(" · ") : "No account linked"}</p>
        </div>
        <span class="push" />
        <StatusPill status={status} />
      </div>
      {status === "SCAN_QR_CODE" ? (
        <div class="row">
          <p class="muted small">Waiting for a phone.</p>
          <span class="push" />
          <Button compact icon={QrCode} tone="primary" onClick={link}>Link a phone</Button>
        </div>
      ) : status === "FAILED" && gateway.reason ? (
        <p class="small cut" title={gateway.reason}>{gateway.reason}</p>
      ) : (
        <Figures session={session} vitals={vitals} now={now} />
      )}
    </article>
  );
}

export function Figures({ session, vitals, now }: { session: Session; vitals: Vitals | undefined; now: number }) {
  const node = vitals?.nodeName ?? vitals?.node?.slice(0, 8) ?? "–";
  return (
    <dl class="figures">
      <div><dt>Node</dt><dd data-figure="node">{node}</dd></div>
      <div><dt>Memory</dt><dd data-figure="memory">{bytes(vitals?.memoryBytes)}</dd></div>
      <div><dt title="Fencing token: grows with every start">Epoch</dt><dd data-figure="epoch">{vitals?.epoch ?? session.gateway.epoch}</dd></div>
      <div><dt title="Age of the newest checkpoint">Checkpoint</dt><dd data-figure="checkpoint">{age(vitals?.checkpointAt, now)}</dd></div>
    </dl>
  );
}
