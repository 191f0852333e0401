/** The gateway's HTTP API. The key goes into a header, never into a URL. */

const root = new URL("../", document.baseURI);
const STORED = "gateway-console-key";

/** An answer that is a refusal, in the gateway's own words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code = "",
  ) {
    super(message);
  }
}

let key = sessionStorage.getItem(STORED) ?? "";
let refused: () => void = () => undefined;

export const hasKey = (): boolean => key !== "";
export function setKey(value: string): void {
  key = value;
  if (value) sessionStorage.setItem(STORED, value);
  else sessionStorage.removeItem(STORED);
}
/** `handler` runs when the key is not taken any more. */
export function onRefused(handler: () => void): void {
  refused = handler;
}

export async function request(method: string, path: string, options: {
  body?: unknown;
  signal?: AbortSignal;
  accept?: string;
} = {}): Promise<Response> {
  const headers: Record<string, string> = { "X-Api-Key": key, Accept: options.accept ?? "application/json" };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(new URL(path, root), {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal ?? null,
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "The gateway does not answer. Is it up?");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({})) as { detail?: unknown; message?: unknown; code?: unknown };
  if (response.status === 401) refused();
  const words = [problem.detail, problem.message].find((one): one is string => typeof one === "string");
  throw new ApiError(response.status, words ?? `HTTP ${response.status}`, String(problem.code ?? ""));
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await request(method, path, body === undefined ? {} : { body });
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const get = <T>(path: string): Promise<T> => json("GET", path);
export const post = <T = unknown>(path: string, body?: unknown): Promise<T> => json("POST", path, body);
export const put = <T = unknown>(path: string, body: unknown): Promise<T> => json("PUT", path, body);
export const remove = (path: string): Promise<unknown> => json("DELETE", path);
/** A path with its parts encoded. */
export const at = (parts: TemplateStringsArray, ...values: (string | number)[]): string =>
  parts.reduce((path, part, i) => path + encodeURIComponent(String(values[i - 1])) + part);

/** The gateway's page of the API. */
export const docsUrl = new URL("docs", root).href;
/** The path of one of the gateway's own URLs, as they stand in messages. */
export function ownPath(url: string): string | null {
  const found = /\/(api\/(?:files|sandbox)\/.+)$/.exec(url);
  return found?.[1] ?? null;
}
