/** Figures and names as people read them. */

export function age(iso: string | null | undefined, now: number): string {
  if (!iso) return "–";
  return span(Math.max(0, now - Date.parse(iso)));
}

/** 4 s, 3 min, 2 h, 5 d */
export function span(ms: number): string {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

/** 80 ms, 1.4 s, 3 min */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : span(seconds * 1000);
}

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return "–";
  if (count < 1024) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const CLOCK_SECONDS = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export const clock = (ms: number): string => CLOCK.format(ms);
export const clockSeconds = (ms: number): string => CLOCK_SECONDS.format(ms);

export function day(ms: number): string {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (ms >= midnight) return "Today";
  if (ms >= midnight - 86_400_000) return "Yesterday";
  return DAY.format(ms);
}

/** `4915100000001@c.us` → `+49 1510 0000001`; groups and others as they are. */
export function person(id: string): string {
  const found = /^(\d+)@(?:c\.us|s\.whatsapp\.net)$/.exec(id) ?? /^(\d{5,})$/.exec(id);
  return found ? `+${found[1]}` : id.replace(/@(g\.us|lid|newsletter|broadcast)$/, "");
}

export function initials(name: string): string {
  const words = name.replace(/^\+/, "").split(/[\s_-]+/).filter(Boolean);
  return words.slice(0, 2).map((word) => word[0]!.toUpperCase()).join("") || "?";
}

export const STATUS_WORDS = {
  WORKING: "Working",
  STARTING: "Starting",
  SCAN_QR_CODE: "Waiting for scan",
  FAILED: "Failed",
  STOPPED: "Stopped",
} as const;
export const STATUS_TONE = {
  WORKING: "ok",
  STARTING: "warn",
  SCAN_QR_CODE: "info",
  FAILED: "bad",
  STOPPED: "idle",
} as const;
