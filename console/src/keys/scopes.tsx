/** What a key may do. */

export const SCOPES = [
  ["read", "Read", "messages, chats, contacts, events"],
  ["send", "Send", "messages; change groups, labels, profile"],
  ["control", "Control", "start, stop, link, log out"],
  ["setting", "Settings", "of the session, and its webhooks"],
  ["app", "Apps", "of the session"],
  ["delete", "Delete", "the session"],
  ["media", "Files", "of messages"],
] as const;
export type Scope = (typeof SCOPES)[number][0];

export function Scopes({ chosen, choose }: { chosen: ReadonlySet<Scope>; choose: (scopes: ReadonlySet<Scope>) => void }) {
  return (
    <fieldset class="part scopes-of">
      <legend class="small">It may</legend>
      {SCOPES.map(([scope, words, more]) => (
        <label class="check" key={scope}>
          <input
            type="checkbox"
            checked={chosen.has(scope)}
            onChange={(event) => {
              const next = new Set(chosen);
              if (event.currentTarget.checked) next.add(scope); else next.delete(scope);
              choose(next);
            }}
          />
          <span>{words} <span class="muted">{more}</span></span>
        </label>
      ))}
    </fieldset>
  );
}
