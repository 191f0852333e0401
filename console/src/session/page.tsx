/** One session: its state on top, and its tabs. */

import { Activity, ArrowLeftRight, Blocks, FileQuestion, LogOut, MessageCircle, Play, QrCode, RotateCw, Settings2, Square, Trash2, Webhook } from "lucide-preact";
import { useState } from "preact/hooks";
import { ApiError, at, get, post, remove } from "../api";
import { useEvents, useNow, useQuery, useThrottled } from "../hooks";
import { go, type Route, sessionPath, type Tab } from "../route";
import { Figures } from "../sessions/page";
import { LinkDialog } from "../sessions/link";
import { isOwnerless } from "../sessions/owner";
import type { Access, Session, Vitals } from "../types";
import { Confirm } from "../ui/dialog";
import { Menu, type MenuItem } from "../ui/menu";
import { Bones, Button, Empty, Notice, StatusPill, Trouble } from "../ui/parts";
import { attempt } from "../ui/toast";
import { person } from "../words";
import { AppsTab } from "./apps";
import { AsideTab } from "./aside";
import { ChatsTab } from "./chats";
import { EventsTab } from "./events";
import { SettingsTab } from "./settings";
import { WebhooksTab } from "./webhooks";

const TAB_WORDS = [
  ["chats", "Chats", MessageCircle],
  ["events", "Events", Activity],
  ["webhooks", "Webhooks", Webhook],
  ["apps", "Apps", Blocks],
  ["aside", "Set aside", FileQuestion],
  ["settings", "Settings", Settings2],
] as const satisfies readonly (readonly [Tab, string, unknown])[];

/** On a phone not all tabs are seen at once. */
const intoView = (tab: HTMLElement | null): void => tab?.scrollIntoView({ block: "nearest", inline: "nearest" });

export function SessionPage({ route, access }: { route: Extract<Route, { page: "session" }>; access: Access }) {
  const { name, tab } = route;
  const now = useNow();
  const session = useQuery(() => get<Session>(at`api/sessions/${name}`), [name], 10_000);
  const vitals = useQuery(() => get<Vitals[]>(at`api/vitals?sessions=${name}`), [name], 5_000);
  const refresh = useThrottled(() => {
    session.reload();
    vitals.reload();
  }, 200);
  useEvents((event) => {
    if (event.session === name && event.event.startsWith("session.")) refresh();
  });
  const [linking, setLinking] = useState(false);
  const [asking, setAsking] = useState<"logout" | "delete" | "">("");

  if (session.error instanceof ApiError && session.error.status === 404) {
    return (
      <div class="page">
        <Empty icon={MessageCircle} title={`There is no session ${name}`}>
          <p>It was deleted, or this key does not see it.</p>
          <a class="button" href="#/">All sessions</a>
        </Empty>
      </div>
    );
  }
  if (!session.data) return <div class="page">{session.error ? <Trouble error={session.error} retry={session.reload} /> : <Bones count={1} />}</div>;

  const found = session.data;
  const act = (verb: string, done: string): void => {
    void attempt(() => post(`${at`api/sessions/${name}`}/${verb}`), done).then(session.reload);
  };
  const items: MenuItem[] = [
    { icon: RotateCw, text: "Restart", act: () => act("restart", "It restarts") },
    { icon: ArrowLeftRight, text: "Move to another node", act: () => act("move", "It lives on another node") },
    { icon: LogOut, text: "Log out of WhatsApp", act: () => setAsking("logout") },
    { icon: Trash2, text: "Delete", act: () => setAsking("delete"), danger: true },
  ];
  const running = found.gateway.desired === "RUNNING" && found.status !== "FAILED";
  return (
    <div class="page full session-page">
      <div class="session-head">
        <div class="cut">
          <div class="row">
            <h1 class="cut">{name}</h1>
            <StatusPill status={found.status} ownerless={isOwnerless(found, vitals.data?.[0])} />
          </div>
          <p class="muted small cut">{found.me ? [found.me.pushName, person(found.me.id)].filter(Boolean).join(" · ") : "No account linked"}</p>
        </div>
        <Figures session={found} vitals={vitals.data?.[0]} now={now} />
        <div class="row">
          {found.status === "SCAN_QR_CODE" && <Button tone="primary" icon={QrCode} onClick={() => setLinking(true)}>Link</Button>}
          {running ? (
            <Button icon={Square} label="Stop" onClick={() => act("stop", "It stops; the device stays linked")} />
          ) : (
            <Button tone="primary" icon={Play} onClick={() => act("start", "It starts")}>Start</Button>
          )}
          <Menu label="More" items={items} />
        </div>
      </div>
      <nav class="tabs" aria-label={`Parts of ${name}`}>
        {TAB_WORDS.map(([id, words, Icon]) => (
          <a key={id} ref={id === tab ? intoView : null} href={sessionPath(name, id)} {...(id === tab ? { "aria-current": "page" as const } : {})}>
            <Icon size={15} />
            {words}
          </a>
        ))}
      </nav>
      {found.status === "FAILED" && <Notice>{found.gateway.reason || "It failed."}</Notice>}
      {Object.entries(found.gateway.smallerPromises ?? {}).map(([promise, instead]) => (
        <Notice key={promise} tone="warn">{`Not kept here: ${promise}. ${instead}`}</Notice>
      ))}
      {tab === "chats" && <ChatsTab name={name} chat={route.chat} status={found.status} link={() => setLinking(true)} />}
      {tab === "events" && <EventsTab name={name} />}
      {tab === "webhooks" && <WebhooksTab session={found} saved={session.reload} />}
      {tab === "apps" && <AppsTab name={name} />}
      {tab === "aside" && <AsideTab name={name} />}
      {tab === "settings" && <SettingsTab session={found} saved={session.reload} />}
      {linking && <LinkDialog name={name} sandbox={access.sandbox} close={() => setLinking(false)} />}
      {asking === "logout" && (
        <Confirm
          title="Log out of WhatsApp?"
          text="The device is unlinked on the phone. The history stays; a new scan is needed afterwards."
          verb="Log out"
          close={() => setAsking("")}
          act={() => act("logout", "Logged out")}
        />
      )}
      {asking === "delete" && (
        <Confirm
          title={`Delete ${name}?`}
          text="The device is unlinked, and chats, events and settings of the session are gone for good."
          verb="Delete"
          close={() => setAsking("")}
          act={() => void attempt(() => remove(at`api/sessions/${name}`), `${name} is deleted`).then((ok) => ok && go("#/"))}
        />
      )}
    </div>
  );
}
