/** One stream of events for the whole console. A page that shows live things subscribes here. */

import { request } from "./api";
import type { GatewayEvent } from "./types";

type Listener = (event: GatewayEvent) => void;
export type Connection = "connecting" | "live" | "unreachable";

const listeners = new Set<Listener>();
const watchers = new Set<(state: Connection) => void>();
/** Called when the stream is back after a gap: what was missed must be asked for. */
const returners = new Set<() => void>();
let running: AbortController | null = null;
let state: Connection = "connecting";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;

function become(next: Connection): void {
  if (next === state) return;
  state = next;
  for (const watcher of watchers) watcher(next);
}

export function follow(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function onReturn(handler: () => void): () => void {
  returners.add(handler);
  return () => returners.delete(handler);
}

export function watchConnection(watcher: (state: Connection) => void): () => void {
  watchers.add(watcher);
  watcher(state);
  return () => watchers.delete(watcher);
}

export function start(): void {
  if (running) return;
  running = new AbortController();
  void keep(running.signal);
}

export function stop(): void {
  running?.abort();
  running = null;
  become("connecting");
}

async function keep(signal: AbortSignal): Promise<void> {
  let pause = FIRST_PAUSE_MS;
  let again = false;
  while (!signal.aborted) {
    try {
      const response = await request("GET", "api/events/stream", { signal, accept: "text/event-stream" });
      become("live");
      pause = FIRST_PAUSE_MS;
      if (again) for (const handler of returners) handler();
      again = true;
      if (response.body) await read(response.body);
    } catch {
      // Whatever it was: the loop tries again, and the indicator says that it does.
      if (signal.aborted) return;
    }
    become("unreachable");
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

async function read(body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const parts = rest.split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) emit(part);
  }
}

function emit(part: string): void {
  const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
  if (!data.length) return;
  const event = JSON.parse(data.join("\n")) as GatewayEvent;
  if (event.session) for (const listener of listeners) listener(event);
}
