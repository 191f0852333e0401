// A linked device by an unmodified Baileys, driven by lines of JSON (see `line_process.py`).
//
// Environment: BAILEYS (the package's folder name: baileys-6, baileys-7), DATA (folder of its auth
// state), PROXY (the sandbox's), NODE_EXTRA_CA_CERTS (the sandbox's roots).
import readline from "node:readline";
import { HttpsProxyAgent } from "https-proxy-agent";
import { ProxyAgent } from "undici";

const { BAILEYS, DATA, PROXY } = process.env;
const baileys = await import(BAILEYS);
const of = (name) => baileys[name] ?? baileys.default?.[name];
const makeWASocket = of("makeWASocket") ?? baileys.default;
const agent = new HttpsProxyAgent(PROXY);
// 6 asks by axios, 7 by fetch.
const options = BAILEYS === "baileys-6" ? { httpsAgent: agent } : { dispatcher: new ProxyAgent(PROXY) };
const logger = { level: "silent", child: () => logger };
for (const name of ["trace", "debug", "info", "warn", "error", "fatal"]) {
  logger[name] = (...args) => name !== "trace" && name !== "debug" && console.error(name, ...args);
}

const writeLine = (record) => process.stdout.write(JSON.stringify(record) + "\n");
const kept = new Map();
let sock;

function heard(message) {
  kept.set(message.key.id, message);
  const inside = message.message ?? {};
  const text =
    inside.conversation || inside.extendedTextMessage?.text || inside.imageMessage?.caption || "";
  const { id, remoteJid, fromMe } = message.key;
  writeLine({ event: "message", id, chat: remoteJid, from_me: fromMe, text });
}

async function start() {
  const { state, saveCreds } = await of("useMultiFileAuthState")(DATA);
  sock = makeWASocket({ auth: state, logger, agent, fetchAgent: agent, options });
  sock.ev.process(async (events) => {
    if (events["creds.update"]) await saveCreds();
    for (const message of events["messages.upsert"]?.messages ?? []) heard(message);
    if (events["messaging-history.set"]) {
      for (const message of events["messaging-history.set"].messages) {
        writeLine({ event: "history", id: message.key.id });
      }
    }
    const { qr, connection, lastDisconnect } = events["connection.update"] ?? {};
    if (qr) writeLine({ event: "qr", text: qr });
    if (connection === "open") writeLine({ event: "open" });
    if (connection === "close") {
      const code = lastDisconnect?.error?.output?.statusCode;
      if (code === of("DisconnectReason").loggedOut) writeLine({ event: "logged out" });
      else await start();
    }
  });
}

const verbs = {
  text: async (to, text) => (await sock.sendMessage(to, { text })).key.id,
  image: async (to, data) => {
    const image = Buffer.from(data, "base64");
    return (await sock.sendMessage(to, { image, mimetype: "image/png", jpegThumbnail: "" })).key.id;
  },
  download: async (id) => {
    const data = await of("downloadMediaMessage")(kept.get(id), "buffer", { options }, {});
    return data.toString("base64");
  },
  read: (chat, id) => sock.readMessages([kept.get(id).key]),
  group: async (subject, members) => (await sock.groupCreate(subject, members)).id,
  // What only some clients know.
  call_link: () => sock.createCallLink("audio"),
  reject_call: (id, from) => sock.rejectCall(id, from),
  media_again: async (id) => (await sock.updateMediaMessage(kept.get(id))).key.id,
  channel: async (name) => (await sock.newsletterCreate(name)).id,
  community: async (name) => (await sock.communityCreate(name, "")).id,
};

await start();
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { number, verb, values } = JSON.parse(line);
  Promise.resolve()
    .then(() => verbs[verb](...values))
    .then((value) => writeLine({ number, value: value ?? null }))
    .catch((error) => {
      const missing = error instanceof TypeError && error.message.endsWith("is not a function");
      writeLine({ number, error: missing ? "no function" : String(error?.stack ?? error) });
    });
}
process.exit(0);
