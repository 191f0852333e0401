/** Small parts that every page uses. */

import { CircleAlert, LoaderCircle, type LucideIcon } from "lucide-preact";
import type { ComponentChildren, JSX } from "preact";
import type { Status } from "../types";
import { STATUS_TONE, STATUS_WORDS } from "../words";

type Props = Omit<JSX.IntrinsicElements["button"], "size" | "icon"> & {
  icon?: LucideIcon;
  tone?: "primary" | "danger" | "quiet" | "";
  compact?: boolean;
  busy?: boolean;
  /** For buttons that show their icon only. */
  label?: string;
};

export function Button({ icon: Icon, tone = "", compact, busy, label, children, disabled, ...rest }: Props) {
  const size = compact ? 14 : 16;
  return (
    <button
      type="button"
      {...rest}
      class={`button ${tone} ${compact ? "small" : ""} ${label ? "icon" : ""}`}
      disabled={Boolean(disabled) || Boolean(busy)}
      {...(label ? { "aria-label": label, title: label } : {})}
    >
      {busy ? <LoaderCircle size={size} class="spin" /> : Icon ? <Icon size={size} /> : null}
      {children}
    </button>
  );
}

/** `ownerless`: it should run, and no process does. */
export function StatusPill({ status, ownerless = false }: { status: Status; ownerless?: boolean }) {
  return (
    <span
      class={`pill ${ownerless ? "bad" : STATUS_TONE[status]}`}
      data-status={status}
      {...(ownerless ? { title: `${STATUS_WORDS[status]} when it was last owned. Another node takes it, when there is one.` } : {})}
    >
      <span class="dot" />
      {ownerless ? "No owner" : STATUS_WORDS[status]}
    </span>
  );
}

export function Empty({ icon: Icon, title, children, bare }: {
  icon: LucideIcon;
  title: string;
  children?: ComponentChildren;
  bare?: boolean;
}) {
  return (
    <div class={`empty ${bare ? "bare" : ""}`}>
      <Icon size={30} strokeWidth={1.6} />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Notice({ children, tone = "" }: { children: ComponentChildren; tone?: "info" | "warn" | "" }) {
  return (
    <div class={`notice ${tone}`} role={tone ? "note" : "alert"}>
      <CircleAlert size={16} />
      <div>{children}</div>
    </div>
  );
}

/** What is shown when a page cannot be loaded. */
export function Trouble({ error, retry }: { error: Error; retry: () => void }) {
  return (
    <Notice>
      <div class="row wrap">
        <span>{error.message}</span>
        <Button compact onClick={retry}>Try again</Button>
      </div>
    </Notice>
  );
}

export function Bones({ count = 3, height = 132 }: { count?: number; height?: number }) {
  return (
    <div class="grid" aria-busy="true" aria-label="Loading">
      {Array.from({ length: count }, (_, i) => (
        <div key={i} class="bone" style={{ height: `${height}px` }} />
      ))}
    </div>
  );
}
