/** Sessions as a table, for those who have hundreds: sorted, selected, acted upon at once. */

import { ChevronDown, ChevronUp } from "lucide-preact";
import { sessionPath } from "../route";
import type { Session, Vitals } from "../types";
import { StatusPill } from "../ui/parts";
import { useWindowed } from "../ui/virtual";
import { age, bytes, person, STATUS_WORDS } from "../words";
import { isOwnerless } from "./owner";

const ROW = 44;

export interface Row {
  session: Session;
  vitals: Vitals | undefined;
}
export type Column = "name" | "account" | "status" | "node" | "memory" | "outbox" | "checkpoint" | "changed";
export interface Sorting {
  by: Column;
  down: boolean;
}

const COLUMNS: readonly (readonly [Column, string, string])[] = [
  ["name", "Session", ""],
  ["account", "Account", ""],
  ["status", "Status", ""],
  ["node", "Node", ""],
  ["memory", "Memory", "number"],
  ["outbox", "Waiting", "number"],
  ["checkpoint", "Checkpoint", "number"],
  ["changed", "Changed", "number"],
];

export const accountOf = ({ me }: Session): string => (me ? [me.pushName, person(me.id)].filter(Boolean).join(" · ") : "");
export const nodeOf = (vitals: Vitals | undefined): string => vitals?.nodeName ?? vitals?.node?.slice(0, 8) ?? "";

function value({ session, vitals }: Row, by: Column): string | number {
  switch (by) {
    case "name": return session.name;
    case "account": return accountOf(session);
    case "status": return STATUS_WORDS[session.status];
    case "node": return nodeOf(vitals);
    case "memory": return vitals?.memoryBytes ?? -1;
    case "outbox": return vitals?.outbox ?? -1;
    case "checkpoint": return vitals?.checkpointAt ? Date.parse(vitals.checkpointAt) : 0;
    case "changed": return Date.parse(session.gateway.updatedAt);
  }
}

const COLLATOR = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export function sorted(rows: Row[], { by, down }: Sorting): Row[] {
  const keyed = rows.map((row) => ({ row, key: value(row, by) }));
  const sign = down ? -1 : 1;
  keyed.sort((a, b) =>
    sign * (typeof a.key === "number" && typeof b.key === "number" ? a.key - b.key : COLLATOR.compare(String(a.key), String(b.key)))
    || COLLATOR.compare(a.row.session.name, b.row.session.name));
  return keyed.map((one) => one.row);
}

export function SessionTable({ rows, now, sorting, sort, chosen, choose }: {
  rows: Row[];
  now: number;
  sorting: Sorting;
  sort: (sorting: Sorting) => void;
  chosen: ReadonlySet<string>;
  choose: (names: string[], on: boolean) => void;
}) {
  const { list, from, to, before, after } = useWindowed(rows.length, ROW);
  const all = rows.length > 0 && rows.every((one) => chosen.has(one.session.name));
  return (
    <div class="card table-box sessions-table">
      <table aria-rowcount={rows.length + 1}>
        <thead>
          <tr>
            <th class="pick">
              <input
                type="checkbox"
                aria-label="Choose all that are shown"
                checked={all}
                onChange={(event) => choose(rows.map((one) => one.session.name), event.currentTarget.checked)}
              />
            </th>
            {COLUMNS.map(([column, words, kind]) => (
              <th
                key={column}
                class={`of-${column} ${kind}`}
                {...(sorting.by === column ? { "aria-sort": sorting.down ? ("descending" as const) : ("ascending" as const) } : {})}
              >
                <button type="button" onClick={() => sort({ by: column, down: sorting.by === column && !sorting.down })}>
                  {words}
                  {sorting.by === column && (sorting.down ? <ChevronDown size={13} /> : <ChevronUp size={13} />)}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={list}>
          {before > 0 && <tr class="left-out" aria-hidden="true"><td style={{ height: `${before}px` }} /></tr>}
          {rows.slice(from, to).map(({ session, vitals }, i) => (
            <tr key={session.name} data-session={session.name} aria-rowindex={from + i + 2} class={chosen.has(session.name) ? "chosen" : ""}>
              <td class="pick">
                <input
                  type="checkbox"
                  aria-label={`Choose ${session.name}`}
                  checked={chosen.has(session.name)}
                  onChange={(event) => choose([session.name], event.currentTarget.checked)}
                />
              </td>
              <td class="of-name"><a class="cut" href={sessionPath(session.name)}>{session.name}</a></td>
              <td class="of-account muted"><span class="cut">{accountOf(session) || "–"}</span></td>
              <td class="of-status"><StatusPill status={session.status} ownerless={isOwnerless(session, vitals)} /></td>
              <td class="of-node">{nodeOf(vitals) || "–"}</td>
              <td class="of-memory number">{bytes(vitals?.memoryBytes)}</td>
              <td class="of-outbox number">{vitals?.outbox ?? "–"}</td>
              <td class="of-checkpoint number">{age(vitals?.checkpointAt, now)}</td>
              <td class="of-changed number">{age(session.gateway.updatedAt, now)}</td>
            </tr>
          ))}
          {after > 0 && <tr class="left-out" aria-hidden="true"><td style={{ height: `${after}px` }} /></tr>}
        </tbody>
      </table>
    </div>
  );
}
