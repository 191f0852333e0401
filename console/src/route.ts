/** Where one is, from the part of the address behind `#`: the server knows one page only. */

import { useEffect, useState } from "preact/hooks";

export const TABS = ["chats", "events", "webhooks", "apps", "aside", "settings"] as const;
export type Tab = (typeof TABS)[number];
export type Route =
  | { page: "sessions" }
  | { page: "session"; name: string; tab: Tab; chat: string }
  | { page: "letters" }
  | { page: "keys" }
  | { page: "cluster" }
  | { page: "phones" };

function parse(hash: string): Route {
  const parts = hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  if (parts[0] === "dead-letters") return { page: "letters" };
  if (parts[0] === "keys") return { page: "keys" };
  if (parts[0] === "cluster") return { page: "cluster" };
  if (parts[0] === "phones") return { page: "phones" };
  if (parts[0] === "sessions" && parts[1]) {
    const tab = TABS.find((one) => one === parts[2]) ?? "chats";
    return { page: "session", name: parts[1], tab, chat: parts[3] ?? "" };
  }
  return { page: "sessions" };
}

export function sessionPath(name: string, tab: Tab = "chats", chat = ""): string {
  return `#/sessions/${[name, tab, chat].filter(Boolean).map(encodeURIComponent).join("/")}`;
}

export function go(path: string): void {
  location.hash = path;
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = (): void => setRoute(parse(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
