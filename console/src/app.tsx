/** The frame: who is in, where one is, what is beside it. */

import { BookOpen, KeyRound, LogOut, MailX, MessagesSquare, Moon, Network, Smartphone, Sun, SunMoon } from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, docsUrl, get, hasKey, onRefused, setKey } from "./api";
import { ClusterPage } from "./cluster/page";
import { useKept } from "./hooks";
import { KeysPage } from "./keys/page";
import { type Connection, start, stop, watchConnection } from "./live";
import { LettersPage } from "./letters/page";
import { Login } from "./login";
import { PhonesDock } from "./phones/dock";
import { useRoute } from "./route";
import { SessionPage } from "./session/page";
import { SessionsPage } from "./sessions/page";
import { applyTheme, type Theme } from "./theme";
import type { Access } from "./types";
import { say, Toasts } from "./ui/toast";

const LIVE_WORDS = { live: "Live", connecting: "Connecting", unreachable: "Reconnecting" } as const;
const LIVE_TONES = { live: "ok", connecting: "warn", unreachable: "bad" } as const;
const NEXT_THEME = { system: "light", light: "dark", dark: "system" } as const;
const THEME_ICONS = { system: SunMoon, light: Sun, dark: Moon } as const;
const THEME_WORDS = { system: "System theme", light: "Light theme", dark: "Dark theme" } as const;
const WIDE = "(min-width: 821px)";

export function App() {
  const [access, setAccess] = useState<Access>();
  const [checking, setChecking] = useState(hasKey());
  const [theme, setTheme] = useKept<Theme>("theme", "system");
  const inside = useRef(false);
  inside.current = access !== undefined;
  useEffect(() => applyTheme(theme), [theme]);

  const leave = (): void => {
    stop();
    setKey("");
    setAccess(undefined);
  };
  const enter = async (): Promise<void> => {
    const found = await get<Access>("api/access");
    setAccess(found);
    start();
  };
  useEffect(() => {
    onRefused(() => {
      if (!inside.current) return;
      leave();
      say("The key is not taken any more. Log in again.", true);
    });
    if (!hasKey()) return;
    enter()
      .catch((error: unknown) => {
        if (error instanceof ApiError && error.status !== 401) say(error.message, true);
      })
      .finally(() => setChecking(false));
  }, []);

  if (checking) return null;
  return (
    <>
      {access ? (
        <Shell access={access} leave={leave} theme={theme} setTheme={setTheme} />
      ) : (
        <Login enter={enter} />
      )}
      <Toasts />
    </>
  );
}

function Shell({ access, leave, theme, setTheme }: {
  access: Access;
  leave: () => void;
  theme: Theme;
  setTheme: (theme: Theme) => void;
}) {
  const route = useRoute();
  const [dock, setDock] = useKept("phones", true);
  const [wide, setWide] = useState(matchMedia(WIDE).matches);
  const [connection, setConnection] = useState<Connection>("connecting");
  useEffect(() => watchConnection(setConnection), []);
  useEffect(() => {
    const query = matchMedia(WIDE);
    const changed = (): void => setWide(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  const beside = access.sandbox && dock && wide;
  const ThemeIcon = THEME_ICONS[theme];
  const here = (page: string): { "aria-current"?: "page" } =>
    route.page.startsWith(page) ? { "aria-current": "page" } : {};
  return (
    <div class={`shell ${beside ? "with-phones" : ""}`}>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        Skip to content
      </a>
      <header class="side">
        <a class="brand" href="#/">
          <img src="./mark.svg" alt="" />
          <span>
            Gateway
            <small>{access.sandbox ? "Sandbox" : access.tenant}</small>
          </span>
        </a>
        <nav aria-label="Main">
          <a class="nav-item" href="#/" {...here("session")}>
            <MessagesSquare size={18} />
            <span>Sessions</span>
          </a>
          <a class="nav-item" href="#/dead-letters" {...here("letters")}>
            <MailX size={18} />
            <span>Dead letters</span>
          </a>
          {access.admin && (
            <a class="nav-item" href="#/keys" {...here("keys")}>
              <KeyRound size={18} />
              <span>Keys</span>
            </a>
          )}
          {access.operates && (
            <a class="nav-item" href="#/cluster" {...here("cluster")}>
              <Network size={18} />
              <span>Cluster</span>
            </a>
          )}
          {access.sandbox && (wide ? (
            <button type="button" class="nav-item" aria-pressed={dock} onClick={() => setDock(!dock)}>
              <Smartphone size={18} />
              <span>Phones</span>
            </button>
          ) : (
            <a class="nav-item" href="#/phones" {...here("phones")}>
              <Smartphone size={18} />
              <span>Phones</span>
            </a>
          ))}
          <a class="nav-item only-wide" href={docsUrl} target="_blank" rel="noreferrer">
            <BookOpen size={18} />
            <span>API</span>
          </a>
        </nav>
        <div class="side-end">
          <div class="live" data-connection={connection} title={LIVE_WORDS[connection]}>
            <i class={`dot ${LIVE_TONES[connection]}`} />
            <span>{LIVE_WORDS[connection]}{access.version !== "0.0.0" && ` · ${access.version}`}</span>
          </div>
          <button
            type="button"
            class="nav-item"
            aria-label={`${THEME_WORDS[theme]}; change`}
            onClick={() => setTheme(NEXT_THEME[theme])}
          >
            <ThemeIcon size={18} />
            <span class="only-wide">{THEME_WORDS[theme]}</span>
          </button>
          <button type="button" class="nav-item" aria-label="Log out" onClick={leave}>
            <LogOut size={18} />
            <span class="only-wide">Log out</span>
          </button>
        </div>
      </header>
      <main class="main" id="main" tabIndex={-1}>
        {route.page === "sessions" && <SessionsPage access={access} />}
        {route.page === "session" && <SessionPage key={route.name} route={route} access={access} />}
        {route.page === "letters" && <LettersPage />}
        {route.page === "keys" && <KeysPage />}
        {route.page === "cluster" && <ClusterPage />}
        {route.page === "phones" && access.sandbox && <PhonesDock />}
      </main>
      {beside && <PhonesDock />}
    </div>
  );
}
