// What the original stack has around Express and Baileys, each part doing its work for each request:
// helmet, a JWT that is verified, limits counted in Redis, a log of requests, the history in
// PostgreSQL (awaited before the answer), the state of sessions in Redis, and their credentials in
// an S3 bucket.
//
// Environment: DATABASE_URL, REDIS_URL, S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_BUCKET,
// JWT_SECRET, DATA (folder of the log).
import path from "node:path";
import { rateLimit } from "express-rate-limit";
import helmet from "helmet";
import Redis from "ioredis";
import jwt from "jsonwebtoken";
import { Client as Minio } from "minio";
import pg from "pg";
import { RedisStore } from "rate-limit-redis";
import winston from "winston";

const TABLE = `
  CREATE TABLE IF NOT EXISTS messages (
    session text NOT NULL, id text NOT NULL, chat text NOT NULL, from_me boolean NOT NULL,
    body text NOT NULL, sent_at timestamptz NOT NULL, status text NOT NULL,
    PRIMARY KEY (session, id)
  );
  CREATE INDEX IF NOT EXISTS messages_chat ON messages (session, chat, sent_at DESC)`;

export async function open() {
  const env = process.env;
  const url = new URL(env.DATABASE_URL);
  url.search = "";
  const database = new pg.Pool({ connectionString: url.href, max: 10 });
  await database.query(TABLE);
  // No URL for JavaScript: a socket's has a password and no host.
  const socket = env.REDIS_URL.match(/^unix:\/\/:(.*)@(\/[^?]*)/);
  const redis = socket
    ? new Redis({ path: decodeURIComponent(socket[2]), password: decodeURIComponent(socket[1]) })
    : new Redis(env.REDIS_URL);
  const [endPoint, port] = env.S3_ENDPOINT.split(":");
  const objects = new Minio({
    endPoint,
    port: Number(port),
    useSSL: false,
    accessKey: env.S3_ACCESS_KEY,
    secretKey: env.S3_SECRET_KEY,
  });
  const log = winston.createLogger({
    level: "info",
    format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
    transports: [new winston.transports.File({ filename: path.join(env.DATA, "requests.log") })],
  });

  return {
    protect(app) {
      app.use(helmet());
      app.use((request, response, next) => {
        const began = process.hrtime.bigint();
        response.on("finish", () =>
          log.info("request", {
            method: request.method,
            path: request.path,
            status: response.statusCode,
            ms: Number(process.hrtime.bigint() - began) / 1e6,
          }),
        );
        next();
      });
      app.use((request, response, next) => {
        const [kind, token] = (request.headers.authorization ?? "").split(" ");
        if (kind !== "Bearer") return response.status(401).json({ error: "no token" });
        try {
          request.user = jwt.verify(token, env.JWT_SECRET, { algorithms: ["HS256"] });
        } catch {
          return response.status(401).json({ error: "bad token" });
        }
        next();
      });
      app.use(
        rateLimit({
          windowMs: 60_000,
          limit: 1_000_000,
          keyGenerator: (request) => request.user.sub,
          store: new RedisStore({ sendCommand: (...words) => redis.call(...words) }),
        }),
      );
    },
    async sent(session, chat, id, body) {
      await database.query(
        `INSERT INTO messages VALUES ($1, $2, $3, true, $4, now(), 'sent')
         ON CONFLICT (session, id) DO NOTHING`,
        [session, id, chat, body],
      );
    },
    async received(session, chat, id, body, seconds) {
      await database.query(
        `INSERT INTO messages VALUES ($1, $2, $3, false, $4, to_timestamp($5), 'received')
         ON CONFLICT (session, id) DO NOTHING`,
        [session, id, chat, body, seconds],
      );
    },
    async status(session, id, status) {
      await database.query("UPDATE messages SET status = $3 WHERE session = $1 AND id = $2", [
        session,
        id,
        status,
      ]);
    },
    async state(session, status) {
      await redis.hset("sessions", session, status);
    },
    async credentials(session, creds) {
      await objects.putObject(env.S3_BUCKET, `baseline/${session}.json`, JSON.stringify(creds));
    },
    failed(error) {
      log.error("failed", { error: String(error) });
    },
  };
}
