import { Plus } from "lucide-preact";
import { useState } from "preact/hooks";
import { post } from "../api";
import { Dialog } from "../ui/dialog";
import { Button, Notice } from "../ui/parts";

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

export function CreateDialog({ taken, close, created }: {
  taken: Set<string>;
  close: () => void;
  created: (name: string) => void;
}) {
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const hint = name && !NAME.test(name) ? "Letters, digits, - and _, up to 64." : taken.has(name) ? "There is a session of this name." : "";
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (hint) return;
    setBusy(true);
    try {
      await post("api/sessions", { name });
      created(name);
    } catch (reason) {
      setError((reason as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title="New session" close={close}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        {error && <Notice>{error}</Notice>}
        <label class="field">
          <span>Name</span>
          <input
            class="input"
            name="name"
            required
            autoFocus
            autoComplete="off"
            spellcheck={false}
            placeholder="support"
            value={name}
            aria-invalid={Boolean(hint)}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <small role="status">{hint || "How the API calls it. Programs send with it."}</small>
        </label>
        <div class="dialog-end">
          <Button onClick={close}>Cancel</Button>
          <Button tone="primary" type="submit" icon={Plus} busy={busy} disabled={Boolean(hint)}>Create</Button>
        </div>
      </form>
    </Dialog>
  );
}
