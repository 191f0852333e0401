import { FileDown, ImageOff, LoaderCircle } from "lucide-preact";
import { useEffect, useState } from "preact/hooks";
import { at, ownPath, request } from "../api";
import type { Message } from "../types";

/** A file as base64, for a JSON body. */
export async function base64(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1] ?? "");
    reader.onerror = () => reject(reader.error ?? new Error("the file cannot be read"));
    reader.readAsDataURL(file);
  });
}

/** The file of a message: fetched with the key, so that no address carries it. */
export function File_({ session, message }: { session: string; message: Message }) {
  const type = message.media?.mimetype ?? "";
  const path = ownPath(message.media?.url ?? "") ?? at`api/files/${session}/${message.id}`;
  return <Blob_ path={path} type={type} name={message.media?.filename ?? "file"} />;
}

export function Blob_({ path, type, name }: { path: string; type: string; name: string }) {
  const shown = /^(image|audio|video)\//.test(type);
  const [url, setUrl] = useState("");
  const [failed, setFailed] = useState("");
  const load = async (): Promise<string> => {
    const blob = await (await request("GET", path, { accept: "*/*" })).blob();
    return URL.createObjectURL(new Blob([blob], { type }));
  };
  useEffect(() => {
    if (!shown) return undefined;
    let made = "";
    let gone = false;
    load().then(
      (found) => {
        made = found;
        if (gone) URL.revokeObjectURL(found);
        else setUrl(found);
      },
      (error: unknown) => setFailed((error as Error).message),
    );
    return () => {
      gone = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [path]);
  const save = async (): Promise<void> => {
    const found = await load();
    const link = document.createElement("a");
    link.href = found;
    link.download = name;
    link.click();
    URL.revokeObjectURL(found);
  };
  if (failed) return <p class="file muted"><ImageOff size={18} />{failed}</p>;
  if (!shown) {
    return (
      <button type="button" class="file" onClick={() => void save().catch((error: unknown) => setFailed((error as Error).message))}>
        <FileDown size={18} /><span class="cut">{name}</span>
      </button>
    );
  }
  if (!url) return <p class="file muted"><LoaderCircle size={18} class="spin" />Loading</p>;
  if (type.startsWith("image/")) return <img class="picture" src={url} alt={name} />;
  if (type.startsWith("video/")) return <video class="picture" src={url} controls />;
  return <audio class="sound" src={url} controls />;
}
