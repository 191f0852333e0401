/** Who owned which session when: a lane per node, a dot per new owner, a line from where it was. */

import { useEffect, useRef, useState } from "preact/hooks";
import { useNow } from "../hooks";
import type { ClusterNode, Ownership } from "../types";
import { clock, clockSeconds } from "../words";

const LANE = 44;
const TOP = 14;
const LABEL = 118;
const MOST_MS = 3_600_000;
const LEAST_MS = 120_000;
/** Below it minutes alone would repeat. */
const SHORT_MS = 480_000;

interface Lane {
  name: string;
  gone: boolean;
}

/** Nodes that are gone keep their lane: by id, under the name they had. */
function lanesOf(moves: Ownership[], nodes: ClusterNode[]): Map<string, Lane> {
  const lanes = new Map<string, Lane>(nodes.map((one) => [one.id, { name: one.name, gone: false }]));
  for (const move of moves) {
    if (!lanes.has(move.node)) lanes.set(move.node, { name: move.nodeName ?? move.node.slice(0, 8), gone: true });
  }
  return lanes;
}

export function Timeline({ moves, nodes }: { moves: Ownership[]; nodes: ClusterNode[] }) {
  const now = useNow(2000);
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(800);
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width));
    watcher.observe(box.current!);
    return () => watcher.disconnect();
  }, []);
  const oldest = Math.min(...moves.map((one) => Date.parse(one.at)));
  const range = Math.min(MOST_MS, Math.max(LEAST_MS, (now - oldest) * 1.06));
  const from = now - range;
  const label = width < 520 ? 94 : LABEL;
  const x = (ms: number): number => label + ((ms - from) / range) * (width - label - 14);
  const recent = moves.filter((one) => Date.parse(one.at) >= from);
  const lanes = lanesOf(recent, nodes);
  const order = [...lanes.keys()];
  const y = (node: string): number => TOP + LANE / 2 + order.indexOf(node) * LANE;
  const height = TOP + order.length * LANE + 26;
  const ticks = Array.from({ length: width < 520 ? 3 : 6 }, (_, i, all = width < 520 ? 3 : 6) => from + (range * (i + 0.5)) / all);
  return (
    <div ref={box} class="timeline">
      <svg width={width} height={height} role="img" aria-label={`Owners of sessions in the last ${Math.round(range / 60_000)} minutes; the list below says the same`}>
        {order.map((node) => (
          <g key={node}>
            <line class="lane" x1={label} x2={width - 14} y1={y(node)} y2={y(node)} />
            <text class="lane-name" x={0} y={y(node) + (lanes.get(node)!.gone ? -2 : 4)}>{lanes.get(node)!.name}</text>
            {lanes.get(node)!.gone && <text class="tick" x={0} y={y(node) + 12}>gone</text>}
          </g>
        ))}
        {ticks.map((ms) => <text key={ms} class="tick" x={x(ms)} y={height - 6} text-anchor="middle">{range < SHORT_MS ? clockSeconds(ms) : clock(ms)}</text>)}
        {recent.map((one) => {
          const there = x(Date.parse(one.at));
          const start = order.includes(one.previousNode ?? "") ? y(one.previousNode!) : y(one.node);
          const end = y(one.node);
          return (
            <g key={`${one.tenant}/${one.session}/${one.epoch}`} class={`move ${one.kind}`}>
              {start !== end && <path d={`M${there - 16} ${start} C${there - 4} ${start} ${there - 12} ${end} ${there} ${end}`} />}
              <circle cx={there} cy={end} r={5.5} />
              <title>{`${one.session}: ${one.kind}, epoch ${one.epoch}, ${clockSeconds(Date.parse(one.at))}`}</title>
            </g>
          );
        })}
      </svg>
    </div>
  );
}
