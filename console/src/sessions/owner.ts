import type { Session, Vitals } from "../types";

/** It should run, and no process holds its lease: it is about to be taken over, or nobody can. Not
 * known before its vitals are. */
export function isOwnerless(session: Session, vitals: Vitals | undefined): boolean {
  return vitals !== undefined && vitals.node === null
    && session.gateway.desired === "RUNNING" && session.status !== "FAILED" && session.status !== "STOPPED";
}
