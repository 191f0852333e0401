/** What arrived and could not be understood: kept as it came. */

import { Download, FileQuestion, Trash2 } from "lucide-preact";
import { at, get, remove, request } from "../api";
import { useEvents, useNow, useQuery } from "../hooks";
import type { SetAside } from "../types";
import { Bones, Button, Empty, Trouble } from "../ui/parts";
import { attempt } from "../ui/toast";
import { age, bytes } from "../words";

export function AsideTab({ name }: { name: string }) {
  const path = at`api/${name}/events/quarantine`;
  const found = useQuery(() => get<SetAside[]>(`${path}?limit=500`), [path], 30_000);
  const now = useNow(5_000);
  useEvents((event) => {
    if (event.session === name && event.event === "event.quarantined") found.reload();
  });
  const load = (one: SetAside): void => {
    void attempt(async () => {
      const answer = await request("GET", `${path}/${one.id}`, { accept: "application/octet-stream" });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = `${name}-${one.kind}-${one.id}.bin`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  };
  const forget = (one: SetAside): void => {
    void attempt(() => remove(`${path}/${one.id}`)).then(found.reload);
  };
  return (
    <div class="page">
      {found.error && <Trouble error={found.error} retry={found.reload} />}
      {found.loading && <Bones count={1} height={120} />}
      {found.data && !found.data.length && (
        <Empty icon={FileQuestion} title="Nothing was set aside">
          <p>What arrives and cannot be understood or recorded is kept here as it came, and nothing waits for it.</p>
        </Empty>
      )}
      {found.data && found.data.length > 0 && (
        <section class="card" aria-labelledby="aside">
          <div class="section-head"><h2 id="aside">Set aside</h2><span class="pill warn">{found.data.length}</span></div>
          <div class="table-box stacks">
            <table>
              <thead><tr><th>What</th><th>Why</th><th class="number">Size</th><th class="number">Arrived</th><th /></tr></thead>
              <tbody>
                {found.data.map((one) => (
                  <tr key={one.id} data-aside={one.id}>
                    <td data-label="What" class="mono">{one.kind}</td>
                    <td data-label="Why" class="muted">{one.error}</td>
                    <td data-label="Size" class="number">{bytes(one.size)}</td>
                    <td data-label="Arrived" class="number">{age(one.at, now)}</td>
                    <td class="deeds">
                      <div class="row">
                        <Button compact icon={Download} onClick={() => load(one)}>As it came</Button>
                        <Button compact tone="quiet" icon={Trash2} label="Forget it" onClick={() => forget(one)} />
                      </div>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </section>
      )}
    </div>
  );
}
