import { Check, CheckCheck, CircleX, Clock3 } from "lucide-preact";

const WORDS: Record<string, string> = { "-1": "Failed", 0: "Accepted", 1: "Sent", 2: "Delivered", 3: "Read", 4: "Played" };

/** How far a message has come: clock, ✓, ✓✓, and ✓✓ in blue. */
export function Ack({ level }: { level: number }) {
  const Icon = level < 0 ? CircleX : level === 0 ? Clock3 : level === 1 ? Check : CheckCheck;
  const words = WORDS[level] ?? "";
  return (
    <span class={`ack ${level < 0 ? "failed" : level >= 3 ? "read" : ""}`} data-ack={level} role="img" aria-label={words} title={words}>
      <Icon size={level === 0 ? 12 : 15} />
    </span>
  );
}
