// Express over Baileys, many sessions in one process, file auth state; with FULL also what the
// original stack has around them (parts.mjs).
//
// Environment: PORT, DATA (folder of the sessions), WEBHOOK_URL (where messages are posted),
// WA_URL (websocket of the sandbox), WA_CA (PEM file with its roots). Prints one line when it
// listens.
import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import baileys from "@whiskeysockets/baileys";
import express from "express";
import pino from "pino";

const { makeWASocket, useMultiFileAuthState, DisconnectReason } = baileys;
const { PORT, DATA, WEBHOOK_URL, WA_URL, WA_CA } = process.env;
const logger = pino({ level: process.env.LOG_LEVEL ?? "silent" }, pino.destination(2));
const agent = WA_CA ? new https.Agent({ ca: fs.readFileSync(WA_CA) }) : undefined;
const sessions = new Map();
const parts = process.env.FULL ? await (await import("./parts.mjs")).open() : null;
// By session and chat: its sends, one after the other. Baileys uses a message key twice when two
// are under way ("old counter" at the receiver).
const turns = new Map();

function inTurn(chat, work) {
  const turn = (turns.get(chat) ?? Promise.resolve()).then(work);
  const over = turn.catch(() => {}).then(() => turns.get(chat) === over && turns.delete(chat));
  turns.set(chat, over);
  return turn;
}

function note(work) {
  work?.catch((error) => parts.failed(error));
}

async function start(name) {
  const session = sessions.get(name) ?? { name, status: "STARTING", qr: null, socket: null };
  sessions.set(name, session);
  const { state, saveCreds } = await useMultiFileAuthState(path.join(DATA, name));
  const socket = makeWASocket({
    auth: state,
    logger,
    agent,
    ...(WA_URL ? { waWebSocketUrl: WA_URL } : {}),
    markOnlineOnConnect: false,
    syncFullHistory: false,
  });
  session.socket = socket;
  socket.ev.on("creds.update", (update) => {
    saveCreds();
    note(parts?.credentials(name, state.creds));
    // Baileys emits messages only after the first history, which it cannot download: without the
    // sandbox's proxy there is no way to WhatsApp's media hosts, and it asks no other.
    if (update.myAppStateKeyId) socket.ev.flush();
  });
  socket.ev.on("connection.update", ({ connection, qr, lastDisconnect }) => {
    if (qr) {
      session.qr = qr;
      session.status = "SCAN_QR_CODE";
    }
    if (connection === "open") {
      session.qr = null;
      session.status = "WORKING";
      note(parts?.state(name, session.status));
    }
    if (connection === "close") {
      const code = lastDisconnect?.error?.output?.statusCode;
      if (code === DisconnectReason.loggedOut) {
        session.status = "FAILED";
        return;
      }
      session.status = "STARTING";
      start(name).catch((error) => logger.error(error));
    }
  });
  if (parts) {
    socket.ev.on("messages.update", (updates) => {
      for (const { key, update } of updates)
        if (key.fromMe && update.status) note(parts.status(name, key.id, String(update.status)));
    });
  }
  socket.ev.on("messages.upsert", async ({ messages, type }) => {
    if (type !== "notify") return;
    for (const message of messages) {
      if (message.key.fromMe || !message.message) continue;
      const body =
        message.message.conversation ?? message.message.extendedTextMessage?.text ?? "";
      const { id, remoteJid } = message.key;
      try {
        await parts?.received(name, remoteJid, id, body, Number(message.messageTimestamp));
      } catch (error) {
        parts.failed(error);
      }
      post({
        event: "message",
        session: name,
        payload: {
          id,
          from: remoteJid,
          body,
          timestamp: Number(message.messageTimestamp),
        },
      });
    }
  });
}

// Sent once, and forgotten when that fails: as such servers do it.
function post(event) {
  if (!WEBHOOK_URL) return;
  fetch(WEBHOOK_URL, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(event),
  })
    .then((answer) => answer.arrayBuffer())
    .catch((error) => logger.error(error));
}

function jid(chatId) {
  const [user, server] = chatId.split("@");
  return `${user}@${!server || server === "c.us" ? "s.whatsapp.net" : server}`;
}

const app = express();
parts?.protect(app);
app.use(express.json());

function known(request, response) {
  const session = sessions.get(request.params.session ?? request.body?.session);
  if (!session) response.status(404).json({ error: "no such session" });
  return session;
}

app.get("/ping", (_request, response) => response.json({ message: "pong" }));
app.post("/api/sessions", async (request, response) => {
  await start(request.body.name);
  response.status(201).json({ name: request.body.name });
});
app.get("/api/sessions/:session", (request, response) => {
  const session = known(request, response);
  if (session) response.json({ name: session.name, status: session.status });
});
app.get("/api/:session/auth/qr", (request, response) => {
  const session = known(request, response);
  if (!session) return;
  if (!session.qr) response.status(422).json({ error: session.status });
  else response.json({ value: session.qr });
});
app.post("/api/sendText", async (request, response) => {
  const session = known(request, response);
  if (!session) return;
  try {
    const { chatId, text } = request.body;
    const send = () => session.socket.sendMessage(jid(chatId), { text });
    const sent = parts ? await inTurn(`${session.name} ${chatId}`, send) : await send();
    await parts?.sent(session.name, jid(chatId), sent.key.id, text);
    response.status(201).json({ id: sent.key.id });
  } catch (error) {
    response.status(500).json({ error: String(error) });
  }
});

const server = app.listen(Number(PORT ?? 0), "127.0.0.1", () => {
  console.log(JSON.stringify({ port: server.address().port, pid: process.pid }));
});
process.on("SIGTERM", () => process.exit(0));
