/** Something that is shown once. */

import { Copy } from "lucide-preact";
import { Dialog } from "./dialog";
import { Button, Notice } from "./parts";
import { say } from "./toast";

export function Secret({ title, words, secret, more, close }: {
  title: string;
  /** What it is, for those who do not see it. */
  words: string;
  secret: string;
  more?: string;
  close: () => void;
}) {
  const copy = (): void => {
    navigator.clipboard.writeText(secret).then(() => say("Copied"), () => say("This browser does not copy: select it", true));
  };
  return (
    <Dialog title={title} close={close}>
      <Notice tone="warn">It is shown this once. The gateway keeps a digest of it only.</Notice>
      {more && <p class="small">{more}</p>}
      <output class="secret mono" aria-label={words}>{secret}</output>
      <div class="dialog-end">
        <Button icon={Copy} onClick={copy}>Copy</Button>
        <Button tone="primary" onClick={close}>Done</Button>
      </div>
    </Dialog>
  );
}
