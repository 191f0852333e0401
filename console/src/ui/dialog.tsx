import { X } from "lucide-preact";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Button } from "./parts";

/** The browser's own modal dialog: it keeps the focus inside, and Esc closes it. */
export function Dialog({ title, close, children }: {
  title: string;
  close: () => void;
  children: ComponentChildren;
}) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    box.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={box}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => event.target === box.current && close()}
    >
      <div class="dialog-head">
        <h2 id={id}>{title}</h2>
        <span class="push" />
        <Button icon={X} tone="quiet" label="Close" onClick={close} />
      </div>
      <div class="dialog-body">{children}</div>
    </dialog>
  );
}

export function Confirm({ title, text, verb, close, act }: {
  title: string;
  text: string;
  verb: string;
  close: () => void;
  act: () => void;
}) {
  return (
    <Dialog title={title} close={close}>
      <p class="muted">{text}</p>
      <div class="dialog-end">
        <Button onClick={close}>Cancel</Button>
        <Button
          tone="danger"
          onClick={() => {
            close();
            act();
          }}
        >
          {verb}
        </Button>
      </div>
    </Dialog>
  );
}
