import { EllipsisVertical, type LucideIcon } from "lucide-preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "./parts";

export interface MenuItem {
  icon: LucideIcon;
  text: string;
  act: () => void;
  danger?: boolean;
}

export function Menu({ items, label }: { items: MenuItem[]; label: string }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const closeOutside = (event: Event): void => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", closeOutside);
    box.current?.querySelector<HTMLButtonElement>("li button")?.focus();
    return () => document.removeEventListener("pointerdown", closeOutside);
  }, [open]);
  const keys = (event: KeyboardEvent): void => {
    if (event.key === "Escape") {
      setOpen(false);
      box.current?.querySelector<HTMLButtonElement>(":scope > button")?.focus();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const all = [...(box.current?.querySelectorAll<HTMLButtonElement>("li button") ?? [])];
    const here = all.indexOf(document.activeElement as HTMLButtonElement);
    const step = event.key === "ArrowDown" ? 1 : -1;
    all[(here + step + all.length) % all.length]?.focus();
  };
  return (
    <div class="menu" ref={box} onKeyDown={keys}>
      <Button icon={EllipsisVertical} label={label} aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)} />
      {open && (
        <ul role="menu">
          {items.map((item) => (
            <li key={item.text} role="none">
              <button
                type="button"
                role="menuitem"
                class={item.danger ? "danger" : ""}
                onClick={() => {
                  setOpen(false);
                  item.act();
                }}
              >
                <item.icon size={15} />
                {item.text}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
