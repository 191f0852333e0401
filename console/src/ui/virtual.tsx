/** Long lists: only what is looked at is in the page. */

import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

const AROUND = 12;

/** Which of `count` rows of `height` px to draw, for a list inside the page's scrolling part.
 * `before` and `after` are the heights of what is left out. */
export function useWindowed(count: number, height: number): {
  list: RefObject<HTMLTableSectionElement>;
  from: number;
  to: number;
  before: number;
  after: number;
} {
  const list = useRef<HTMLTableSectionElement>(null);
  const [seen, setSeen] = useState({ from: 0, to: 60 });
  useLayoutEffect(() => {
    const main = document.getElementById("main");
    if (!main) return undefined;
    const look = (): void => {
      const top = main.getBoundingClientRect().top - (list.current?.getBoundingClientRect().top ?? 0);
      const from = Math.max(0, Math.floor(top / height) - AROUND);
      const to = Math.ceil((top + main.clientHeight) / height) + AROUND;
      setSeen((now) => (now.from === from && now.to === to ? now : { from, to }));
    };
    look();
    const resized = new ResizeObserver(look);
    resized.observe(main);
    main.addEventListener("scroll", look, { passive: true });
    return () => {
      resized.disconnect();
      main.removeEventListener("scroll", look);
    };
  }, [count, height]);
  const to = Math.min(count, Math.max(seen.to, 1));
  const from = Math.min(seen.from, to);
  return { list, from, to, before: from * height, after: (count - to) * height };
}
