/** What the gateway answers, as far as the console reads it. */

export type Status = "STOPPED" | "STARTING" | "SCAN_QR_CODE" | "WORKING" | "FAILED";

export interface Access {
  tenant: string;
  admin: boolean;
  operates: boolean;
  sandbox: boolean;
  version: string;
}

export interface Me {
  id: string;
  pushName: string;
}

export interface Session {
  name: string;
  status: Status;
  config: Record<string, unknown> | null;
  me: Me | null;
  gateway: {
    node: string | null;
    epoch: number;
    actor: string;
    desired: string;
    reason: string | null;
    /** What its library does not keep: name → what holds instead, and why. */
    smallerPromises: Record<string, string> | null;
    createdAt: string;
    updatedAt: string;
  };
}

export interface Vitals {
  name: string;
  node: string | null;
  nodeName: string | null;
  epoch: number;
  workingSince: string | null;
  checkpointAt: string | null;
  checkpoints: number;
  checkpointBytes: number;
  outbox: number;
  memoryBytes: number | null;
}

export interface GatewayEvent {
  id: string;
  timestamp: number;
  event: string;
  session: string;
  payload: Record<string, unknown>;
  gateway: { seq: number };
}

export interface Media {
  url: string | null;
  mimetype: string | null;
  filename: string | null;
}

export interface Message {
  id: string;
  timestamp: number;
  from: string;
  to: string;
  fromMe: boolean;
  body: string;
  hasMedia: boolean;
  media: Media | null;
  ack: number;
  participant: string;
}

export interface Chat {
  id: string;
  name: string | null;
  lastMessage: Message | null;
  _chat: { unreadCount: number; conversationTimestamp: number };
}

export interface Webhook {
  id: string;
  origin: string;
  url: string;
  events: string[];
  behind: number;
  attempts: number;
  lastError: string | null;
  circuitOpenUntil: string | null;
  deadLetters: number;
}

export interface Delivery {
  id: number;
  seq: number;
  event: string;
  attempt: number;
  status: number | null;
  error: string | null;
  milliseconds: number;
  at: string;
}

export interface DeadLetter {
  id: number;
  url: string;
  seq: number;
  event: string;
  attempts: number;
  status: number | null;
  error: string;
  diedAt: string;
}

export interface SessionDeadLetter extends DeadLetter {
  session: string;
}

/** One minute of what went through the sessions. */
export interface TrafficMinute {
  at: string;
  received: number;
  sent: number;
  delivered: number;
  lagSeconds: number;
}

export interface App {
  id: string;
  session: string;
  app: string;
  enabled: boolean;
  config: Record<string, unknown>;
}

/** Something that arrived and could not be understood. */
export interface SetAside {
  id: number;
  kind: string;
  error: string;
  /** Bytes. */
  size: number;
  at: string;
}

export interface ApiKey {
  id: string;
  /** Whole in the answer that made it, else its beginning. */
  key: string;
  isActive: boolean;
  isAdmin: boolean;
  session: string | null;
  actions: Record<string, boolean | null> | null;
}

export interface ClusterNode {
  id: string;
  name: string;
  address: string;
  slots: number;
  drained: boolean;
  startedAt: string;
  sessions: { tenant: string; name: string; status: Status }[];
  health: { cpuPercent?: number; memory?: { percent: number; totalMb: number; availableMb: number } };
}

export interface Ownership {
  tenant: string;
  session: string;
  epoch: number;
  node: string;
  nodeName: string | null;
  previousNode: string | null;
  previousNodeName: string | null;
  kind: "first" | "handover" | "start" | "takeover";
  at: string;
}

export interface Phone {
  number: string;
  name: string;
  devices: { device: number; connected: boolean }[];
}

export interface InboxEntry {
  seq: number;
  kind: string;
  id: string;
  ids?: string[];
  chat: string;
  sender_number: string;
  from_me: boolean;
  /** When the phone decrypted it: seconds, with fractions. */
  received_at: number;
  type: string;
  text: string;
}
