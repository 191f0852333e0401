/** The apps of a session: agents, an inbox, calls. */

import { Blocks, Bot, Inbox, PhoneOff, Plus, Trash2 } from "lucide-preact";
import { useState } from "preact/hooks";
import { at, get, post, put, remove } from "../api";
import { SCOPES, type Scope, Scopes } from "../keys/scopes";
import { useQuery } from "../hooks";
import type { App } from "../types";
import { Confirm, Dialog } from "../ui/dialog";
import { Bones, Button, Empty, Notice, Trouble } from "../ui/parts";
import { Secret } from "../ui/secret";
import { attempt } from "../ui/toast";

const KINDS = {
  mcp: ["Agents (MCP)", Bot, "An agent sends and reads with the tools it finds at /mcp."],
  chatwoot: ["Chatwoot", Inbox, "People answer in an inbox of Chatwoot."],
  calls: ["Calls", PhoneOff, "Calls are rejected, and answered with a text."],
} as const;
type Kind = keyof typeof KINDS;
/** At most one a session. */
const SINGLE: Kind[] = ["chatwoot", "calls"];

export function AppsTab({ name }: { name: string }) {
  const apps = useQuery(() => get<App[]>(at`api/apps?session=${name}`), [name], 15_000);
  const [adding, setAdding] = useState<Kind>();
  const [fresh, setFresh] = useState<App>();
  const [leaving, setLeaving] = useState<App>();
  const all = apps.data ?? [];
  const turn = (one: App): void => {
    const { id, session, app, config, enabled } = one;
    void attempt(() => put(at`api/apps/${id}`, { id, session, app, config: given(one.app, config), enabled: !enabled }), enabled ? "Turned off" : "Turned on").then(apps.reload);
  };
  return (
    <div class="page stack">
      {apps.error && <Trouble error={apps.error} retry={apps.reload} />}
      {apps.loading && <Bones count={1} height={120} />}
      {apps.data && !all.length && (
        <Empty icon={Blocks} title="No app">
          <p>Apps connect this session with others: an agent, an inbox where people answer, or nobody who takes calls.</p>
        </Empty>
      )}
      {all.map((one) => {
        const [words, Icon] = KINDS[one.app as Kind] ?? [one.app, Blocks];
        return (
          <article key={one.id} class="card app" data-app={one.app}>
            <div class="row wrap">
              <Icon size={18} />
              <b>{words}</b>
              <span class={`pill ${one.enabled ? "ok" : "idle"}`}>{one.enabled ? "On" : "Off"}</span>
              <span class="push" />
              <Button compact onClick={() => turn(one)}>{one.enabled ? "Turn off" : "Turn on"}</Button>
              <Button compact tone="quiet" icon={Trash2} label={`Delete ${words}`} onClick={() => setLeaving(one)} />
            </div>
            <p class="muted small cut">{summary(one)}</p>
          </article>
        );
      })}
      <div class="app-kinds">
        {(Object.keys(KINDS) as Kind[]).filter((kind) => !SINGLE.includes(kind) || !all.some((one) => one.app === kind)).map((kind) => {
          const [words, Icon, about] = KINDS[kind];
          return (
            <div key={kind} class="card app-kind">
              <Icon size={20} />
              <div><b>{words}</b><p class="muted small">{about}</p></div>
              <Button compact icon={Plus} label={`Add ${words}`} onClick={() => setAdding(kind)} />
            </div>
          );
        })}
      </div>
      {adding && (
        <NewApp
          name={name}
          kind={adding}
          close={() => setAdding(undefined)}
          created={(app) => {
            setAdding(undefined);
            if (app.app !== "calls") setFresh(app);
            apps.reload();
          }}
        />
      )}
      {fresh && (fresh.app === "mcp"
        ? <Secret title="The agent's key" words="The new key" secret={fresh.config["key"] as string} close={() => setFresh(undefined)} />
        : <Secret title="The inbox's webhook" words="Webhook URL" secret={fresh.config["webhook"] as string} more="Put it into the inbox's settings in Chatwoot." close={() => setFresh(undefined)} />)}
      {leaving && (
        <Confirm
          title={`Delete ${KINDS[leaving.app as Kind]?.[0] ?? leaving.app}?`}
          text="Its key goes with it, and what it kept of its own."
          verb="Delete"
          close={() => setLeaving(undefined)}
          act={() => void attempt(() => remove(at`api/apps/${leaving.id}`), "The app is deleted").then(apps.reload)}
        />
      )}
    </div>
  );
}

/** Without what is only shown. */
function given(app: string, config: App["config"]): App["config"] {
  const { key, key_id, webhook, ...rest } = config;
  void key, key_id, webhook;
  return app === "calls" ? config : rest;
}

function summary({ app, config }: App): string {
  if (app === "chatwoot") return `${config["url"]} · account ${config["accountId"]} · inbox ${config["inboxId"]}`;
  if (app === "calls") return String((config["dm"] as { message?: string } | undefined)?.message ?? "without an answer");
  const actions = config["actions"] as Record<Scope, boolean> | undefined;
  return [config["key"], SCOPES.filter(([scope]) => actions?.[scope]).map(([, words]) => words).join(", ")].filter(Boolean).join(" · ");
}

function NewApp({ name, kind, close, created }: {
  name: string;
  kind: Kind;
  close: () => void;
  created: (app: App) => void;
}) {
  const [scopes, setScopes] = useState<ReadonlySet<Scope>>(new Set(["read", "send"]));
  const [fields, setFields] = useState<Record<string, string>>({ outgoing: "private-note", message: "We take no calls here. Please write, or send a voice message." });
  const [groups, setGroups] = useState(true);
  const [commands, setCommands] = useState(true);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const set = (field: string) => (event: { currentTarget: { value: string } }): void => setFields({ ...fields, [field]: event.currentTarget.value });
  const config = (): Record<string, unknown> => {
    if (kind === "mcp") return { actions: Object.fromEntries(SCOPES.map(([scope]) => [scope, scopes.has(scope)])) };
    if (kind === "calls") {
      const answer = { reject: true, message: fields["message"] || null };
      return { dm: answer, group: answer };
    }
    return {
      url: fields["url"], accountToken: fields["token"], inboxIdentifier: fields["identifier"],
      accountId: Number(fields["account"]), inboxId: Number(fields["inbox"]), locale: "en-US",
      commands: { server: commands },
      conversations: { outgoing: fields["outgoing"], groups, syncMessageStatus: true },
    };
  };
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      created(await post<App>("api/apps", { session: name, app: kind, config: config() }));
    } catch (reason) {
      setError((reason as Error).message);
      setBusy(false);
    }
  };
  const text = (field: string, words: string, more: Record<string, unknown> = {}) => (
    <label class="field"><span>{words}</span>
      <input class="input" required value={fields[field] ?? ""} onInput={set(field)} {...more} />
    </label>
  );
  return (
    <Dialog title={KINDS[kind][0]} close={close}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        {error && <Notice>{error}</Notice>}
        {kind === "mcp" && <Scopes chosen={scopes} choose={setScopes} />}
        {kind === "calls" && (
          <label class="field"><span>Answer</span>
            <textarea class="input" rows={3} value={fields["message"]} onInput={set("message")} />
            <small>Sent to who calls. Empty: the call is rejected without a word.</small>
          </label>
        )}
        {kind === "chatwoot" && (
          <>
            {text("url", "Address of Chatwoot", { type: "url", placeholder: "https://chatwoot.example.com", autoFocus: true })}
            <div class="pair">
              {text("account", "Account", { type: "number", min: 1 })}
              {text("inbox", "Inbox", { type: "number", min: 1 })}
            </div>
            {text("identifier", "The inbox's identifier")}
            {text("token", "An agent's access token", { type: "password", autoComplete: "off" })}
            <label class="field"><span>Written on the phone</span>
              <select class="input" value={fields["outgoing"]} onChange={set("outgoing")}>
                <option value="private-note">a private note</option>
                <option value="message">a message of the agent</option>
              </select>
            </label>
            <label class="check"><input type="checkbox" checked={groups} onChange={(event) => setGroups(event.currentTarget.checked)} />Groups are conversations as well</label>
            <label class="check"><input type="checkbox" checked={commands} onChange={(event) => setCommands(event.currentTarget.checked)} />Agents command the session there: status, QR code, history</label>
          </>
        )}
        <div class="dialog-end">
          <Button onClick={close}>Cancel</Button>
          <Button tone="primary" type="submit" icon={Plus} busy={busy} disabled={kind === "mcp" && !scopes.size}>Add</Button>
        </div>
      </form>
    </Dialog>
  );
}
