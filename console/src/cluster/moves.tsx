import { MoveRight } from "lucide-preact";
import { sessionPath } from "../route";
import type { Ownership } from "../types";
import { clockSeconds } from "../words";

const SHOWN = 12;
const WORDS = { first: "first start", start: "start", handover: "handover", takeover: "takeover" } as const;

/** The time line as a list: for those who cannot see it, and for exact times. */
export function Moves({ moves }: { moves: Ownership[] }) {
  return (
    <ol class="move-list">
      {moves.slice(0, SHOWN).map((one) => (
        <li key={`${one.tenant}/${one.session}/${one.epoch}`} data-move={one.kind} data-session={one.session}>
          <time class="mono">{clockSeconds(Date.parse(one.at))}</time>
          <span class={`kind ${one.kind}`}>{WORDS[one.kind]}</span>
          <a href={sessionPath(one.session)}>{one.session}</a>
          <span class="muted small cut">
            {one.previousNodeName && one.previousNode !== one.node ? <>{one.previousNodeName} <MoveRight size={12} /> </> : null}
            {one.nodeName ?? one.node.slice(0, 8)}
          </span>
          <span class="muted small push">epoch {one.epoch}</span>
        </li>
      ))}
    </ol>
  );
}
