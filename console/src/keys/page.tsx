/** API keys and what each may do. */

import { KeyRound, Plus, Trash2 } from "lucide-preact";
import { useState } from "preact/hooks";
import { at, get, post, put, remove } from "../api";
import { useQuery } from "../hooks";
import type { ApiKey, Session } from "../types";
import { Confirm, Dialog } from "../ui/dialog";
import { Bones, Button, Empty, Notice, Trouble } from "../ui/parts";
import { Secret } from "../ui/secret";
import { attempt } from "../ui/toast";
import { type Scope, SCOPES, Scopes } from "./scopes";

const USUAL: Scope[] = ["read", "send", "control", "setting", "app", "media"];

export function KeysPage() {
  const keys = useQuery(() => get<ApiKey[]>("api/keys"), []);
  const [creating, setCreating] = useState(false);
  const [fresh, setFresh] = useState("");
  const [leaving, setLeaving] = useState<ApiKey>();
  const change = (one: ApiKey): void => {
    const { isAdmin, session, actions } = one;
    void attempt(
      () => put(at`api/keys/${one.id}`, { isAdmin, session, actions, isActive: !one.isActive }),
      one.isActive ? "Refused from now on, within two seconds" : "Taken again",
    ).then(keys.reload);
  };
  return (
    <div class="page">
      <div class="page-head">
        <div>
          <h1>API keys</h1>
          <p>A program gets a key of its own, for what it needs and no more.</p>
        </div>
        <div class="actions"><Button tone="primary" icon={Plus} onClick={() => setCreating(true)}>New key</Button></div>
      </div>
      {keys.error && <Trouble error={keys.error} retry={keys.reload} />}
      {keys.loading && <Bones count={1} height={160} />}
      {keys.data && !keys.data.length && (
        <Empty icon={KeyRound} title="No key but the operator's">
          <p>The operator's key is in the settings and may do everything. Make others for programs.</p>
        </Empty>
      )}
      {keys.data && keys.data.length > 0 && (
        <div class="card table-box stacks keys">
          <table>
            <thead><tr><th>Key</th><th>Sessions</th><th>May</th><th>State</th><th /></tr></thead>
            <tbody>
              {keys.data.map((one) => (
                <tr key={one.id} data-key={one.id}>
                  <td><b class="mono">{one.key}</b><div class="mono muted small">{one.id}</div></td>
                  <td data-label="Sessions">{one.session ?? "all"}</td>
                  <td data-label="May">
                    {one.isAdmin ? <span class="pill info">{one.session ? "everything in it" : "everything"}</span> : (
                      <div class="row wrap scopes">
                        {SCOPES.filter(([scope]) => one.actions?.[scope]).map(([scope, words]) => <span key={scope} class="pill idle">{words}</span>)}
                      </div>
                    )}
                  </td>
                  <td data-label="State"><span class={`pill ${one.isActive ? "ok" : "idle"}`}>{one.isActive ? "Active" : "Off"}</span></td>
                  <td class="deeds">
                    <div class="row">
                      <Button compact onClick={() => change(one)}>{one.isActive ? "Turn off" : "Turn on"}</Button>
                      <Button compact tone="quiet" icon={Trash2} label={`Delete ${one.key}`} onClick={() => setLeaving(one)} />
                    </div>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {creating && (
        <NewKey
          close={() => setCreating(false)}
          created={(key) => {
            setCreating(false);
            setFresh(key);
            keys.reload();
          }}
        />
      )}
      {fresh && <Secret title="The key" words="The new key" secret={fresh} close={() => setFresh("")} />}
      {leaving && (
        <Confirm
          title={`Delete ${leaving.key}?`}
          text="Whoever uses it is refused within two seconds. It cannot be brought back."
          verb="Delete"
          close={() => setLeaving(undefined)}
          act={() => void attempt(() => remove(at`api/keys/${leaving.id}`), "The key is deleted").then(keys.reload)}
        />
      )}
    </div>
  );
}

function NewKey({ close, created }: { close: () => void; created: (key: string) => void }) {
  const sessions = useQuery(() => get<Session[]>("api/sessions?all=true"), []);
  const [session, setSession] = useState("");
  const [admin, setAdmin] = useState(false);
  const [scopes, setScopes] = useState<ReadonlySet<Scope>>(new Set(USUAL));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    const actions = Object.fromEntries(SCOPES.map(([scope]) => [scope, scopes.has(scope)]));
    try {
      const made = await post<ApiKey>("api/keys", { isAdmin: admin, session: session || null, ...(admin ? {} : { actions }) });
      created(made.key);
    } catch (reason) {
      setError((reason as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title="New key" close={close}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        {error && <Notice>{error}</Notice>}
        <label class="field"><span>Session</span>
          <select class="input" value={session} onChange={(event) => setSession(event.currentTarget.value)}>
            <option value="">All sessions</option>
            {(sessions.data ?? []).map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
          </select>
        </label>
        <label class="check">
          <input type="checkbox" checked={admin} onChange={(event) => setAdmin(event.currentTarget.checked)} />
          Everything{session ? ` in ${session}` : ", also keys and new sessions"}
        </label>
        {!admin && <Scopes chosen={scopes} choose={setScopes} />}
        <div class="dialog-end">
          <Button onClick={close}>Cancel</Button>
          <Button tone="primary" type="submit" icon={Plus} busy={busy} disabled={!admin && !scopes.size}>Create</Button>
        </div>
      </form>
    </Dialog>
  );
}
