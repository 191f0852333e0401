/** What went through the sessions in the last hour: a bar a minute, and how long events waited. */

import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api";
import { useQuery } from "../hooks";
import type { TrafficMinute } from "../types";
import { clock, duration } from "../words";

const HEIGHT = 56;
const GAP = 2;
/** So that one message in an hour is no skyscraper. */
const LEAST = 5;
const LEAST_LAG = 1;

export function Traffic() {
  const minutes = useQuery(() => get<TrafficMinute[]>("api/vitals/traffic"), [], 30_000);
  const found = minutes.data ?? [];
  const received = found.reduce((sum, one) => sum + one.received, 0);
  const sent = found.reduce((sum, one) => sum + one.sent, 0);
  const lag = Math.max(0, ...found.map((one) => one.lagSeconds));
  if (!found.length) return null;
  return (
    <section class="card traffic" aria-label="The last hour">
      <div class="traffic-part">
        <p class="small"><b>{(received + sent).toLocaleString()}</b> <span class="muted">messages in the last hour</span></p>
        <p class="small legend"><span class="in">{received.toLocaleString()} received</span> <span class="out">{sent.toLocaleString()} sent</span></p>
        <Bars minutes={found} parts={[["in", (one) => one.received], ["out", (one) => one.sent]]} least={LEAST} words={(one) => `${one.received} received, ${one.sent} sent`} />
      </div>
      <div class="traffic-part">
        <p class="small"><b>{duration(lag)}</b> <span class="muted">longest wait of an event for its webhook</span></p>
        <p class="small legend"><span class="lag">{found.reduce((sum, one) => sum + one.delivered, 0).toLocaleString()} delivered</span></p>
        <Bars minutes={found} parts={[["lag", (one) => one.lagSeconds]]} least={LEAST_LAG} words={(one) => `${one.delivered} delivered, the slowest after ${duration(one.lagSeconds)}`} />
      </div>
    </section>
  );
}

function Bars({ minutes, parts, least, words }: {
  minutes: TrafficMinute[];
  parts: [string, (one: TrafficMinute) => number][];
  least: number;
  words: (one: TrafficMinute) => string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(400);
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width));
    watcher.observe(box.current!);
    return () => watcher.disconnect();
  }, []);
  const most = Math.max(least, ...minutes.map((one) => parts.reduce((sum, [, of]) => sum + of(one), 0)));
  const step = width / minutes.length;
  const moments = [0, Math.floor(minutes.length / 2)].map((i) => clock(Date.parse(minutes[i]!.at)));
  return (
    <div ref={box}>
      <svg class="bars" width={width} height={HEIGHT} role="img" aria-label="A bar for each minute">
        <line class="base" x1={0} x2={width} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
        {minutes.map((one, i) => {
          let top = HEIGHT;
          return (
            <g key={one.at}>
              {parts.map(([name, of]) => {
                const value = of(one);
                const height = value ? Math.max(2, (value / most) * (HEIGHT - 4)) : 0;
                top -= height;
                return height > 0 && <rect key={name} class={name} x={i * step} y={top} width={Math.max(1, step - GAP)} height={height} rx={1} />;
              })}
              <rect class="hit" x={i * step} y={0} width={step} height={HEIGHT}><title>{`${clock(Date.parse(one.at))}: ${words(one)}`}</title></rect>
            </g>
          );
        })}
      </svg>
      <p class="ticks muted" aria-hidden="true"><span>{moments[0]}</span><span>{moments[1]}</span><span>now</span></p>
    </div>
  );
}
