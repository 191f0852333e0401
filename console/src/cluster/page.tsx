/** Nodes, the sessions they own, and how sessions moved. */

import { ArrowDownToLine, CircleDot, Network, RotateCcw } from "lucide-preact";
import { useState } from "preact/hooks";
import { at, get, post } from "../api";
import { useEvents, useNow, useQuery, useThrottled } from "../hooks";
import { sessionPath } from "../route";
import type { ClusterNode, Ownership } from "../types";
import { Confirm } from "../ui/dialog";
import { Bones, Button, Empty, Trouble } from "../ui/parts";
import { attempt } from "../ui/toast";
import { age, STATUS_TONE, STATUS_WORDS } from "../words";
import { Moves } from "./moves";
import { Timeline } from "./timeline";

export function ClusterPage() {
  const nodes = useQuery(() => get<ClusterNode[]>("api/cluster/nodes"), [], 2_500);
  const moves = useQuery(() => get<Ownership[]>("api/cluster/ownerships?limit=120"), [], 2_500);
  const refresh = useThrottled(() => {
    nodes.reload();
    moves.reload();
  }, 250);
  useEvents((event) => {
    if (event.event.startsWith("session.")) refresh();
  });
  const [draining, setDraining] = useState<ClusterNode>();
  const all = nodes.data ?? [];
  const owned = all.reduce((sum, one) => sum + one.sessions.length, 0);
  return (
    <div class="page">
      <div class="page-head">
        <div>
          <h1>Cluster</h1>
          <p>{nodes.data ? `${all.length} ${all.length === 1 ? "node" : "nodes"}, ${owned} ${owned === 1 ? "session" : "sessions"} with an owner.` : "Nodes and who owns what."}</p>
        </div>
      </div>
      {nodes.error && <Trouble error={nodes.error} retry={nodes.reload} />}
      {nodes.loading && <Bones count={2} height={190} />}
      {nodes.data && !all.length && (
        <Empty icon={Network} title="No node has reported yet"><p>The supervisor lists nodes a moment after it starts.</p></Empty>
      )}
      <div class="grid nodes">
        {all.map((one) => (
          <NodeCard
            key={one.id}
            node={one}
            drain={() => setDraining(one)}
            undrain={() => void attempt(() => post(at`api/cluster/nodes/${one.id}/undrain`), `${one.name} takes sessions again`).then(nodes.reload)}
          />
        ))}
      </div>
      <section class="card part moves" aria-labelledby="moves">
        <div class="row wrap">
          <h2 id="moves">Takeovers</h2>
          <ul class="legend">
            <li class="first">first start</li>
            <li class="start">start</li>
            <li class="handover">handover</li>
            <li class="takeover">takeover after a loss</li>
          </ul>
        </div>
        {moves.data?.length ? (
          <>
            <Timeline moves={moves.data} nodes={all} />
            <Moves moves={moves.data} />
          </>
        ) : <Empty icon={CircleDot} title="No session has had an owner yet" bare />}
      </section>
      {draining && (
        <Confirm
          title={`Drain ${draining.name}?`}
          text={`Its ${draining.sessions.length} sessions are handed over to other nodes, one after the other, with their very latest state. It takes none until you say so.`}
          verb="Drain"
          close={() => setDraining(undefined)}
          act={() => void attempt(() => post(at`api/cluster/nodes/${draining.id}/drain`), `${draining.name} is being drained`).then(nodes.reload)}
        />
      )}
    </div>
  );
}

function NodeCard({ node, drain, undrain }: { node: ClusterNode; drain: () => void; undrain: () => void }) {
  const now = useNow();
  const { health } = node;
  return (
    <article class={`card node ${node.drained ? "drained" : ""}`} data-node={node.name}>
      <div class="row">
        <div class="cut">
          <h2 class="cut">{node.name}</h2>
          <p class="muted small cut mono">{node.id.slice(0, 12)} · up {age(node.startedAt, now)}</p>
        </div>
        <span class="push" />
        {node.drained ? <span class="pill warn"><span class="dot" />Drained</span> : null}
        {node.drained ? (
          <Button compact icon={RotateCcw} onClick={undrain}>Take sessions</Button>
        ) : (
          <Button compact icon={ArrowDownToLine} onClick={drain} disabled={!node.slots}>Drain</Button>
        )}
      </div>
      <div class="meters">
        <Meter name="Sessions" value={node.sessions.length} most={node.slots} words={`${node.sessions.length}/${node.slots}`} />
        <Share name="Memory" percent={health.memory?.percent} />
        <Share name="CPU" percent={health.cpuPercent} />
      </div>
      <ul class="owned">
        {node.sessions.slice(0, 60).map((one) => (
          <li key={`${one.tenant}/${one.name}`}>
            <a href={sessionPath(one.name)} title={`${one.tenant}/${one.name}: ${STATUS_WORDS[one.status]}`}>
              <i class={`dot ${STATUS_TONE[one.status]}`} />{one.name}
            </a>
          </li>
        ))}
        {!node.sessions.length && <li class="muted small">No sessions here.</li>}
      </ul>
    </article>
  );
}

/** A node that has just started has not reported yet. */
function Share({ name, percent }: { name: string; percent: number | undefined }) {
  return <Meter name={name} value={percent ?? 0} most={100} words={percent === undefined ? "–" : `${Math.round(percent)} %`} />;
}

function Meter({ name, value, most, words }: { name: string; value: number; most: number; words: string }) {
  const share = most ? Math.min(100, (value / most) * 100) : 0;
  return (
    <div class="meter">
      <span class="row"><span class="muted">{name}</span><span class="push">{words}</span></span>
      <div class="track" role="meter" aria-label={name} aria-valuenow={Math.round(value)} aria-valuemin={0} aria-valuemax={most}>
        <div style={{ width: `${share}%` }} />
      </div>
    </div>
  );
}
