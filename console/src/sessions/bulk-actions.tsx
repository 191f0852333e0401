/** What is done to many sessions at once. */

import { ArrowLeftRight, Play, RotateCw, Square, Trash2, X } from "lucide-preact";
import { useState } from "preact/hooks";
import { post, remove } from "../api";
import { Confirm } from "../ui/dialog";
import { Button } from "../ui/parts";
import { say } from "../ui/toast";

/** Requests under way at a time: a start costs a node something. */
const AT_ONCE = 4;

const DEEDS = {
  start: { verb: "Start", done: "started", call: (name: string) => post(`api/sessions/${encodeURIComponent(name)}/start`) },
  stop: { verb: "Stop", done: "stopped", call: (name: string) => post(`api/sessions/${encodeURIComponent(name)}/stop`) },
  restart: { verb: "Restart", done: "restarted", call: (name: string) => post(`api/sessions/${encodeURIComponent(name)}/restart`) },
  move: { verb: "Move", done: "moved", call: (name: string) => post(`api/sessions/${encodeURIComponent(name)}/move`) },
  delete: { verb: "Delete", done: "deleted", call: (name: string) => remove(`api/sessions/${encodeURIComponent(name)}`) },
} as const;
type Deed = keyof typeof DEEDS;

export function BulkActions({ names, admin, clear, changed }: {
  names: string[];
  admin: boolean;
  clear: () => void;
  changed: () => void;
}) {
  const [asking, setAsking] = useState<Deed | "">("");
  const [progress, setProgress] = useState("");
  const run = async (deed: Deed): Promise<void> => {
    const { verb, done, call } = DEEDS[deed];
    const left = [...names];
    const failed: string[] = [];
    let ready = 0;
    const worker = async (): Promise<void> => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) {
        await call(name).catch((error: unknown) => failed.push(`${name}: ${(error as Error).message}`));
        setProgress(`${verb}: ${++ready} of ${names.length}`);
      }
    };
    setProgress(`${verb}: 0 of ${names.length}`);
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    setProgress("");
    const good = names.length - failed.length;
    if (good) say(`${good} ${good === 1 ? "session" : "sessions"} ${done}`);
    if (failed.length) say(`${failed.length} not: ${failed[0]}`, true);
    clear();
    changed();
  };
  return (
    <div class="bulk-actions card" role="toolbar" aria-label="Chosen sessions">
      <b>{progress || `${names.length} chosen`}</b>
      <span class="push" />
      <Button compact icon={Play} disabled={Boolean(progress)} onClick={() => void run("start")}>Start</Button>
      <Button compact icon={RotateCw} disabled={Boolean(progress)} onClick={() => setAsking("restart")}>Restart</Button>
      <Button compact icon={Square} disabled={Boolean(progress)} onClick={() => setAsking("stop")}>Stop</Button>
      <Button compact icon={ArrowLeftRight} disabled={Boolean(progress)} onClick={() => setAsking("move")}>Move</Button>
      {admin && <Button compact tone="danger" icon={Trash2} disabled={Boolean(progress)} onClick={() => setAsking("delete")}>Delete</Button>}
      <Button compact tone="quiet" icon={X} label="Choose none" disabled={Boolean(progress)} onClick={clear} />
      {asking && (
        <Confirm
          title={`${DEEDS[asking].verb} ${names.length} ${names.length === 1 ? "session" : "sessions"}?`}
          text={asking === "delete"
            ? "Their devices are unlinked, and their chats, events and settings are gone for good."
            : asking === "stop" ? "Their devices stay linked. What is sent to them waits."
            : asking === "move" ? "Each is handed over to another node with its newest state. What is sent to it meanwhile waits."
            : "Each is away for a moment."}
          verb={DEEDS[asking].verb}
          close={() => setAsking("")}
          act={() => void run(asking)}
        />
      )}
    </div>
  );
}
