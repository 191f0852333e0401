/** Loading, following and remembering, for the pages. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { follow, onReturn } from "./live";
import type { GatewayEvent } from "./types";

export interface Query<T> {
  data: T | undefined;
  error: Error | undefined;
  /** Nothing was loaded yet. */
  loading: boolean;
  reload: () => void;
}

/** Load, again every `every` ms, when the tab is looked at and when the stream is back. Keeps the
 * last answer while it loads and when loading fails. */
export function useQuery<T>(load: () => Promise<T>, on: unknown[], every = 0): Query<T> {
  const [data, setData] = useState<T>();
  const [error, setError] = useState<Error>();
  const current = useRef(0);
  const reload = useCallback(() => {
    const turn = ++current.current;
    load().then(
      (found) => {
        if (turn !== current.current) return;
        setData(found);
        setError(undefined);
      },
      (reason: unknown) => {
        if (turn === current.current) setError(reason instanceof Error ? reason : new Error(String(reason)));
      },
    );
  }, on);
  useEffect(() => {
    setData(undefined);
    setError(undefined);
    reload();
    const seen = (): void => {
      if (document.visibilityState === "visible") reload();
    };
    document.addEventListener("visibilitychange", seen);
    const back = onReturn(reload);
    const timer = every ? setInterval(() => document.hidden || reload(), every) : undefined;
    return () => {
      current.current++;
      document.removeEventListener("visibilitychange", seen);
      back();
      clearInterval(timer);
    };
  }, [reload, every]);
  return { data, error, loading: data === undefined && !error, reload };
}

/** Call `handler` with every event, always the newest `handler`. */
export function useEvents(handler: (event: GatewayEvent) => void): void {
  const newest = useRef(handler);
  newest.current = handler;
  useEffect(() => follow((event) => newest.current(event)), []);
}

/** `call` at most once in `ms`, and once more after the last time. */
export function useThrottled(call: () => void, ms: number): () => void {
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const newest = useRef(call);
  newest.current = call;
  useEffect(() => () => clearTimeout(timer.current), []);
  return useCallback(() => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      newest.current();
    }, ms);
  }, [ms]);
}

/** Renders again every second or so: for ages. */
export function useNow(ms = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return now;
}

/** State that outlives a reload, in this browser. */
export function useKept<T>(name: string, initial: T): [T, (value: T) => void] {
  const full = `gateway-console-${name}`;
  const [value, setValue] = useState<T>(() => {
    const text = localStorage.getItem(full);
    return text === null ? initial : (JSON.parse(text) as T);
  });
  const set = useCallback((next: T) => {
    localStorage.setItem(full, JSON.stringify(next));
    setValue(next);
  }, [full]);
  return [value, set];
}
