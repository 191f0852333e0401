/** What happens to a session, live. */

import { Activity, Pause, Play } from "lucide-preact";
import { useState } from "preact/hooks";
import { at, get } from "../api";
import { useEvents, useQuery } from "../hooks";
import type { GatewayEvent } from "../types";
import { Button, Empty, Trouble } from "../ui/parts";
import { clockSeconds } from "../words";
import { summaryOf } from "./event-summary";

const KEPT = 300;
const PAGE = 100;

interface Page {
  events: GatewayEvent[];
  newest: number;
}

async function recent(name: string): Promise<GatewayEvent[]> {
  const path = at`api/${name}/events`;
  const { newest } = await get<Page>(`${path}?limit=1`);
  const found = await get<Page>(`${path}?limit=${PAGE}&after=${Math.max(0, newest - PAGE)}`);
  return found.events.reverse();
}

export function EventsTab({ name }: { name: string }) {
  const history = useQuery(() => recent(name), [name]);
  const [fresh, setFresh] = useState<GatewayEvent[]>([]);
  const [paused, setPaused] = useState<GatewayEvent[] | null>(null);
  const [only, setOnly] = useState("");
  useEvents((event) => {
    if (event.session === name) setFresh((before) => [event, ...before].slice(0, KEPT));
  });
  const all = [...new Map([...fresh, ...(history.data ?? [])].map((one) => [one.gateway.seq, one])).values()]
    .sort((a, b) => b.gateway.seq - a.gateway.seq);
  const listed = (paused ?? all).filter((one) => `${one.event} ${summaryOf(one)}`.toLowerCase().includes(only.trim().toLowerCase()));
  return (
    <div class="page">
      <div class="row wrap bar">
        <input class="input find" type="search" placeholder="Filter: message, ack, a name" aria-label="Filter events" value={only} onInput={(event) => setOnly(event.currentTarget.value)} />
        <span class="muted small">{paused ? "Paused" : "Newest first, live"}</span>
        <span class="push" />
        <Button icon={paused ? Play : Pause} onClick={() => setPaused(paused ? null : all)}>{paused ? "Go on" : "Pause"}</Button>
      </div>
      {history.error && <Trouble error={history.error} retry={history.reload} />}
      {history.data && !listed.length && (
        <Empty icon={Activity} title={only ? "No such event" : "Nothing happened yet"}>
          <p>Messages, acks and changes of status appear here the moment they are committed.</p>
        </Empty>
      )}
      {listed.length > 0 && (
        <div class="card events">
          {listed.map((one) => <Line key={one.id} event={one} />)}
        </div>
      )}
    </div>
  );
}

function Line({ event }: { event: GatewayEvent }) {
  return (
    <details class="event" data-event={event.event}>
      <summary>
        <span class="mono seq">{event.gateway.seq}</span>
        <time class="mono" dateTime={new Date(event.timestamp).toISOString()}>{clockSeconds(event.timestamp)}</time>
        <span class={`mono name ${tone(event.event)}`}>{event.event}</span>
        <span class="cut words">{summaryOf(event)}</span>
      </summary>
      <pre class="mono">{JSON.stringify(event, null, 2)}</pre>
    </details>
  );
}

function tone(name: string): string {
  if (name.startsWith("session") || name === "state.change") return "status";
  if (name.startsWith("message.ack") || name === "message.status") return "ack";
  return name.startsWith("message") ? "message" : "";
}
