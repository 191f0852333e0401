/** What an event says, in words: who, in which chat, how the text begins. */

import type { GatewayEvent } from "../types";
import { person, STATUS_WORDS } from "../words";

type Payload = Record<string, unknown>;

const LONGEST = 120;
const ACKS: Record<string, string> = {
  ERROR: "was not sent",
  PENDING: "waits to be sent",
  SERVER: "is at WhatsApp",
  DEVICE: "was delivered",
  READ: "was read",
  PLAYED: "was played",
};
const TAKEN: Record<string, string> = { join: "joined", leave: "left", promote: "became admin of", demote: "is no longer admin of" };

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const of = (payload: unknown, key: string): unknown =>
  typeof payload === "object" && payload !== null ? (payload as Payload)[key] : undefined;
const who = (value: unknown): string => person(text(value)) || "somebody";

function begun(value: unknown): string {
  const line = text(value).replace(/\s+/g, " ").trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}

/** „Alice in Family“, „to +49…“ */
function between(payload: Payload): string {
  const from = text(payload["from"]);
  const name = text(of(of(payload, "_data"), "pushName")) || text(payload["pushName"]);
  if (payload["fromMe"]) return `You to ${who(payload["to"])}`;
  const author = text(payload["participant"]);
  return author ? `${name || who(author)} in ${who(from)}` : name || who(from);
}

function said(payload: Payload): string {
  const kind = text(of(payload["media"], "mimetype")).split("/")[0];
  const file = payload["hasMedia"] ? `[${kind === "application" || !kind ? "file" : kind}]` : "";
  return [file, begun(payload["body"])].filter(Boolean).join(" ") || `[${text(of(payload, "type")) || "message"}]`;
}

/** Empty for events that it does not know. */
export function summaryOf({ event, payload }: GatewayEvent): string {
  switch (event) {
    case "session.status": {
      const status = text(payload["status"]);
      return `The session is now: ${(STATUS_WORDS as Record<string, string>)[status] ?? status}`;
    }
    case "state.change": return `The engine is now ${text(payload["state"]).toLowerCase()}`;
    case "session.checkpoint": return `The device was saved (${[text(payload["kind"]), text(payload["reason"])].filter(Boolean).join(", ")})`;
    case "session.takeover": return `Node ${text(payload["node"]).slice(0, 8)} took the session (${text(payload["how"])})`;
    case "message":
    case "message.any": return `${between(payload)}: ${said(payload)}`;
    case "message.reaction": return `${between(payload)} reacted ${text(of(payload["reaction"], "text")) || "no more"}`;
    case "message.edited": return `${between(payload)} edited: ${begun(payload["body"])}`;
    case "message.revoked": return `${between((of(payload, "after") ?? payload) as Payload)} deleted a message`;
    case "message.change.refused": return "A change by somebody who has no right to it was refused";
    case "message.waiting": return `A message in ${who(payload["chat"] ?? payload["from"])} could not be opened yet`;
    case "message.ack":
    case "message.ack.group": {
      const reached = ACKS[text(payload["ackName"])] ?? text(payload["ackName"]).toLowerCase();
      const by = text(payload["participant"]);
      return `Your message to ${who(payload["to"] ?? payload["from"])} ${reached}${by ? ` by ${who(by)}` : ""}`;
    }
    case "message.status": {
      const error = text(payload["error"]);
      return `Your message to ${who(payload["chat"])} is ${text(payload["status"])}${error ? `: ${error}` : ""}`;
    }
    case "poll.vote":
    case "poll.vote.failed": {
      const vote = of(payload, "vote");
      const options = of(vote, "selectedOptions");
      const chosen = Array.isArray(options) ? options.map(String).join(", ") : "";
      return `${who(of(vote, "participant") ?? of(vote, "from"))} voted${chosen ? ` for ${begun(chosen)}` : ""}`;
    }
    case "presence.update": {
      const one = (payload["presences"] as unknown[] | undefined)?.[0];
      return `${who(of(one, "participant") ?? payload["id"])} is ${text(of(one, "lastKnownPresence"))}`;
    }
    case "call.received": return `${who(payload["from"])} calls${payload["isVideo"] ? " with video" : ""}`;
    case "call.accepted": return `The call of ${who(payload["from"])} was taken`;
    case "call.rejected": return `The call of ${who(payload["from"])} ended`;
    case "group.v2.join": return `You are in ${begun(of(payload["group"], "subject")) || who(of(payload["group"], "id"))}`;
    case "group.v2.leave": return `You are no longer in ${who(of(payload["group"], "id"))}`;
    case "group.v2.participants": {
      const people = (payload["participants"] as unknown[] | undefined ?? []).map((one) => who(of(one, "pn") ?? of(one, "id")));
      return `${people.slice(0, 3).join(", ")}${people.length > 3 ? ` and ${people.length - 3} more` : ""} ${TAKEN[text(payload["type"])] ?? text(payload["type"])} ${who(of(payload["group"], "id"))}`;
    }
    case "group.v2.update": return `${who(of(payload["group"], "id"))} was changed${of(payload["group"], "subject") ? `: “${begun(of(payload["group"], "subject"))}”` : ""}`;
    case "label.upsert": return `The label “${begun(payload["name"])}” was set`;
    case "label.deleted": return `The label “${begun(payload["name"])}” was deleted`;
    case "label.chat.added": return `${who(payload["chatId"])} got the label “${begun(of(payload["label"], "name"))}”`;
    case "label.chat.deleted": return `${who(payload["chatId"])} lost the label “${begun(of(payload["label"], "name"))}”`;
    case "chat.archive": return `${who(payload["id"])} was ${payload["archived"] ? "archived" : "brought back"}`;
    case "event.quarantined": return `Something arrived that could not be understood (${text(payload["kind"])})`;
    default: return "";
  }
}
