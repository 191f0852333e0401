import { encode } from "uqr";
import { useMemo } from "preact/hooks";

/** A QR code as one path. */
export function Qr({ text }: { text: string }) {
  const { size, path } = useMemo(() => {
    const made = encode(text, { ecc: "L", border: 0 });
    let d = "";
    made.data.forEach((line, y) => line.forEach((dark, x) => {
      if (dark) d += `M${x} ${y}h1v1h-1z`;
    }));
    return { size: made.size, path: d };
  }, [text]);
  return (
    <svg viewBox={`0 0 ${size} ${size}`} shape-rendering="crispEdges" role="img" aria-label="QR code">
      <path d={path} fill="#0f1714" />
    </svg>
  );
}
