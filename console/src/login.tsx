import { KeyRound } from "lucide-preact";
import { useState } from "preact/hooks";
import { ApiError, setKey } from "./api";
import { Button, Notice } from "./ui/parts";

export function Login({ enter }: { enter: () => Promise<void> }) {
  const [value, setValue] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError("");
    setKey(value.trim());
    try {
      await enter();
    } catch (reason) {
      setKey("");
      const refused = reason instanceof ApiError && reason.status === 401;
      setError(refused ? "This key is not taken. Is it complete?" : String((reason as Error).message));
      setBusy(false);
    }
  };
  return (
    <main class="login">
      <form onSubmit={(event) => void submit(event)}>
        <img src="./mark.svg" alt="" />
        <div>
          <h1>WhatsApp session gateway</h1>
          <p class="muted">Log in with an API key.</p>
        </div>
        {error && <Notice>{error}</Notice>}
        <label class="field">
          <span>API key</span>
          <input
            class="input mono"
            type="password"
            name="key"
            autoComplete="current-password"
            required
            autoFocus
            value={value}
            onInput={(event) => setValue(event.currentTarget.value)}
          />
          <small>
            <code class="mono">./gateway up --show-key</code> prints it. It stays in this tab and is
            forgotten with it.
          </small>
        </label>
        <Button tone="primary" type="submit" icon={KeyRound} busy={busy}>Log in</Button>
      </form>
    </main>
  );
}
