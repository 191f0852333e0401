/** The virtual phones of the sandbox, beside the sessions: both sides in one window. */

import { ChevronLeft, Link, Plus, Smartphone } from "lucide-preact";
import { useState } from "preact/hooks";
import { get, post } from "../api";
import { useEvents, useKept, useQuery, useThrottled } from "../hooks";
import type { Phone } from "../types";
import { Dialog } from "../ui/dialog";
import { Button, Empty, Trouble } from "../ui/parts";
import { attempt } from "../ui/toast";
import { initials, person } from "../words";
import { PhoneScreen } from "./screen";

export const titleOf = (phone: Phone): string => (phone.name && phone.name !== phone.number ? phone.name : person(phone.number));

export function PhonesDock() {
  const phones = useQuery(() => get<Phone[]>("api/sandbox/phones"), [], 4_000);
  const refresh = useThrottled(phones.reload, 300);
  useEvents((event) => {
    if (event.event === "session.status") refresh();
  });
  const [open, setOpen] = useKept("phone", "");
  const [adding, setAdding] = useState(false);
  const phone = phones.data?.find((one) => one.number === open);
  return (
    <aside class="dock" aria-label="Virtual phones">
      <header class="dock-head">
        {phone ? (
          <>
            <Button icon={ChevronLeft} tone="quiet" label="All phones" onClick={() => setOpen("")} />
            <div class="cut"><h2 class="cut">{titleOf(phone)}</h2><p class="muted small">{person(phone.number)}</p></div>
          </>
        ) : (
          <>
            <Smartphone size={18} />
            <h2>Virtual phones</h2>
            <span class="push" />
            <Button icon={Plus} tone="quiet" label="New phone" onClick={() => setAdding(true)} />
          </>
        )}
      </header>
      {phones.error && <Trouble error={phones.error} retry={phones.reload} />}
      {phone ? <PhoneScreen key={phone.number} phone={phone} phones={phones.data ?? []} /> : (
        <ul class="phone-list">
          {phones.data?.map((one) => (
            <li key={one.number}>
              <button type="button" class="chat-entry" data-phone={one.number} onClick={() => setOpen(one.number)}>
                <span class="avatar" aria-hidden="true">{initials(titleOf(one))}</span>
                <span class="cut">
                  <b class="cut">{titleOf(one)}</b>
                  <span class="muted small row">
                    {one.devices.length ? <><Link size={12} />{one.devices.length === 1 ? "linked to a session" : `${one.devices.length} linked devices`}</> : "not linked"}
                  </span>
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
      {phones.data && !phones.data.length && (
        <Empty icon={Smartphone} title="No phone yet" bare>
          <p>A virtual phone scans QR codes and writes messages, end-to-end encrypted, without WhatsApp.</p>
          <Button tone="primary" icon={Plus} onClick={() => setAdding(true)}>New phone</Button>
        </Empty>
      )}
      {adding && <NewPhone close={() => setAdding(false)} added={phones.reload} />}
    </aside>
  );
}

function NewPhone({ close, added }: { close: () => void; added: () => void }) {
  const [name, setName] = useState("");
  const [number, setNumber] = useState(String(4915100000000 + Math.floor(Math.random() * 90_000_000)));
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const body = { number: number.replace(/\D/g, ""), name };
    if (await attempt(() => post("api/sandbox/phones", body))) {
      close();
      added();
    }
  };
  return (
    <Dialog title="New virtual phone" close={close}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <label class="field"><span>Name</span>
          <input class="input" name="name" required autoFocus placeholder="Alice" value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <label class="field"><span>Number</span>
          <input class="input mono" name="number" required value={number} onInput={(event) => setNumber(event.currentTarget.value)} />
        </label>
        <div class="dialog-end"><Button tone="primary" type="submit">Add</Button></div>
      </form>
    </Dialog>
  );
}
