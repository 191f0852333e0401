/** All sessions: as cards, or as a table where there are many. */

import { LayoutGrid, MessagesSquare, Plus, QrCode, SearchX, Table2 } from "lucide-preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { at, get } from "../api";
import { useEvents, useKept, useNow, useQuery, useThrottled } from "../hooks";
import { sessionPath } from "../route";
import type { Access, Session, Status, Vitals } from "../types";
import { Bones, Button, Empty, StatusPill, Trouble } from "../ui/parts";
import { age, bytes, initials, person, STATUS_TONE, STATUS_WORDS } from "../words";
import { CreateDialog } from "./create";
import { LinkDialog } from "./link";
import { isOwnerless } from "./owner";
import { type Row, sorted, SessionTable, type Sorting } from "./table";
import { BulkActions } from "./bulk-actions";
import { Traffic } from "./traffic";

const ORDER: Status[] = ["WORKING", "SCAN_QR_CODE", "STARTING", "FAILED", "STOPPED"];
const MANY = 9;
/** From so many on a table is easier to read, as long as nobody chose. */
const TABLE_FROM = 24;
/** Cards that are drawn at first, and with each look at their end. */
const CARDS = 48;
const SEARCH_MS = 200;

export function SessionsPage({ access }: { access: Access }) {
  const [asked, setAsked] = useState("");
  const [search, setSearch] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSearch(asked.trim()), SEARCH_MS);
    return () => clearTimeout(timer);
  }, [asked]);
  const sessions = useQuery(() => get<Session[]>(at`api/sessions?all=true&search=${search}`), [search], 10_000);
  const vitals = useQuery(() => get<Vitals[]>("api/vitals?limit=1000"), [], 5_000);
  const refresh = useThrottled(() => {
    sessions.reload();
    vitals.reload();
  }, 250);
  useEvents((event) => {
    if (event.event.startsWith("session.")) refresh();
  });
  const now = useNow(5_000);
  const [creating, setCreating] = useState(false);
  const [linking, setLinking] = useState("");
  const [only, setOnly] = useState<Status | "ownerless" | "">("");
  const [view, setView] = useKept<"cards" | "table" | "">("sessions-view", "");
  const [sorting, setSorting] = useKept<Sorting>("sessions-sorting", { by: "name", down: false });
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  // While another search is under way the last answer stays on show.
  const kept = useRef<Session[]>([]);
  if (sessions.data) kept.current = sessions.data;
  const known = sessions.data ?? kept.current;
  const everybody = useRef(0);
  if (!search && sessions.data) everybody.current = sessions.data.length;
  const rows = useMemo<Row[]>(() => {
    const byName = new Map(vitals.data?.map((one) => [one.name, one]));
    return sorted(known.map((session) => ({ session, vitals: byName.get(session.name) })), sorting);
  }, [known, vitals.data, sorting]);
  const fits = (row: Row, status: typeof only): boolean =>
    status === "" || (status === "ownerless" ? isOwnerless(row.session, row.vitals) : row.session.status === status);
  const shown = rows.filter((row) => fits(row, only));
  const asTable = view ? view === "table" : everybody.current >= TABLE_FROM;
  const loaded = shown.length > 0;
  useEffect(() => {
    // For whoever measures how soon there is something to see.
    if (loaded && !performance.getEntriesByName("sessions-shown").length) performance.mark("sessions-shown");
  }, [loaded]);
  const names = shown.map((row) => row.session.name).filter((name) => chosen.has(name));
  const choose = (some: string[], on: boolean): void => {
    const next = new Set(chosen);
    for (const name of some) if (on) next.add(name); else next.delete(name);
    setChosen(next);
  };
  const filters = ([...ORDER, "ownerless"] as const).map((status) => [status, rows.filter((row) => fits(row, status)).length] as const);
  return (
    <div class={`page ${asTable ? "wide" : ""}`}>
      <div class="page-head">
        <div>
          <h1>Sessions</h1>
          <p>Each is one linked device, owned by one node at a time.</p>
        </div>
        <div class="actions">
          {(everybody.current >= MANY || asked) && (
            <input
              class="input find"
              type="search"
              placeholder="Name or number"
              aria-label="Find a session"
              value={asked}
              onInput={(event) => setAsked(event.currentTarget.value)}
            />
          )}
          {everybody.current > 1 && (
            <div class="segments views" role="group" aria-label="Show as">
              <button type="button" aria-label="Cards" title="Cards" aria-pressed={!asTable} onClick={() => setView("cards")}><LayoutGrid size={16} /></button>
              <button type="button" aria-label="Table" title="Table" aria-pressed={asTable} onClick={() => setView("table")}><Table2 size={16} /></button>
            </div>
          )}
          {access.admin && <Button tone="primary" icon={Plus} onClick={() => setCreating(true)}>New session</Button>}
        </div>
      </div>
      {sessions.error && <Trouble error={sessions.error} retry={sessions.reload} />}
      {sessions.loading && !known.length && !search && <Bones count={6} height={156} />}
      {sessions.data && !sessions.data.length && !search && (
        <Empty icon={MessagesSquare} title="No session yet">
          <p>
            A session links this gateway to a WhatsApp account, as a phone's "linked device".
            {access.sandbox && " In the sandbox a virtual phone scans it, beside this page."}
          </p>
          {access.admin && <Button tone="primary" icon={Plus} onClick={() => setCreating(true)}>Create the first one</Button>}
        </Empty>
      )}
      {everybody.current > 0 && !search && <Traffic />}
      {everybody.current > 1 && (
        <div class="filters" role="group" aria-label="Show sessions by status">
          <button type="button" class="chip" aria-pressed={only === ""} onClick={() => setOnly("")}>
            All <b>{rows.length}</b>
          </button>
          {filters.map(([status, count]) => count || only === status ? (
            <button key={status} type="button" class="chip" aria-pressed={only === status} onClick={() => setOnly(only === status ? "" : status)}>
              {status === "ownerless" ? "No owner" : STATUS_WORDS[status]} <b>{count}</b>
            </button>
          ) : null)}
        </div>
      )}
      {sessions.data && everybody.current > 0 && !shown.length && <Empty icon={SearchX} title="No session is like that" bare />}
      {shown.length > 0 && (asTable
        ? <SessionTable rows={shown} now={now} sorting={sorting} sort={setSorting} chosen={chosen} choose={choose} />
        : <Cards rows={shown} link={setLinking} />)}
      {names.length > 0 && <BulkActions names={names} admin={access.admin} clear={() => setChosen(new Set())} changed={refresh} />}
      {creating && (
        <CreateDialog
          taken={new Set(known.map((one) => one.name))}
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

function Cards({ rows, link }: { rows: Row[]; link: (name: string) => void }) {
  const [count, setCount] = useState(CARDS);
  const end = useRef<HTMLDivElement>(null);
  const more = count < rows.length;
  useEffect(() => {
    if (!more || !end.current) return undefined;
    const seen = new IntersectionObserver(([one]) => one?.isIntersecting && setCount((before) => before + CARDS), { rootMargin: "600px" });
    seen.observe(end.current);
    return () => seen.disconnect();
  }, [more, count]);
  return (
    <>
      <div class="grid">
        {rows.slice(0, count).map(({ session, vitals }) => (
          <Card key={session.name} session={session} vitals={vitals} link={() => link(session.name)} />
        ))}
      </div>
      <div ref={end} />
    </>
  );
}

function Card({ session, vitals, link }: { session: Session; vitals: Vitals | undefined; link: () => void }) {
  const now = useNow(1000);
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
        <StatusPill status={status} ownerless={isOwnerless(session, vitals)} />
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
