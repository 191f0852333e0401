import { CircleAlert, CircleCheck, X } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const SECONDS = 6;
let next = 1;
let shown: Toast[] = [];
let redraw: (toasts: Toast[]) => void = () => undefined;

function change(toasts: Toast[]): void {
  shown = toasts;
  redraw(toasts);
}

/** Say something in passing. */
export function say(text: string, bad = false): void {
  const toast = { id: next++, text, bad };
  change([...shown.slice(-2), toast]);
  setTimeout(() => change(shown.filter((one) => one.id !== toast.id)), SECONDS * 1000);
}

/** Run `work`; what goes wrong is said. True when it went well. */
export async function attempt(work: () => Promise<unknown>, done = ""): Promise<boolean> {
  try {
    await work();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error), true);
    return false;
  }
  if (done) say(done);
  return true;
}

export function Toasts() {
  const [toasts, setToasts] = useState(shown);
  useEffect(() => {
    redraw = setToasts;
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map((toast) => (
        <div key={toast.id} class={`toast ${toast.bad ? "bad" : ""}`}>
          {toast.bad ? <CircleAlert size={16} /> : <CircleCheck size={16} />}
          <span>{toast.text}</span>
          <button
            type="button"
            class="button quiet icon small"
            aria-label="Dismiss"
            onClick={() => change(shown.filter((one) => one.id !== toast.id))}
          >
            <X size={14} />
          </button>
        </div>
      ))}
    </div>
  );
}
