// A square to draw a symbol on. What is sent is centred and enlarged to the square, because people draw
// in a corner and data sets do not. `isDark`: bright strokes on black, as the model's own pictures are.

const SIZE = 280;
const BRUSH = 26;
const MARGIN = 10;

export function drawingBoard(isDark, onStroke) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  canvas.className = "draw";
  canvas.setAttribute("aria-label", "draw here");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [ground, ink] = isDark ? ["#000", "#fff"] : ["#fff", "#000"];
  const clear = () => {
    context.fillStyle = ground;
    context.fillRect(0, 0, SIZE, SIZE);
  };
  clear();
  Object.assign(context, { strokeStyle: ink, lineWidth: BRUSH, lineCap: "round", lineJoin: "round" });
  let last = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * SIZE / box.width, (event.clientY - box.top) * SIZE / box.height];
  };
  const line = (from, to) => {
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = at(event);
    line(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = at(event);
    line(last, next);
    last = next;
  });
  canvas.addEventListener("pointerup", () => { last = null; onStroke(); });
  canvas.addEventListener("pointercancel", () => { last = null; });
  return { canvas, clear, toBlob: () => centred(canvas, context, ground, isDark) };
}

function centred(canvas, context, ground, isDark) {
  const box = inkBox(context, isDark);
  const copy = document.createElement("canvas");
  copy.width = copy.height = SIZE;
  const target = copy.getContext("2d");
  target.fillStyle = ground;
  target.fillRect(0, 0, SIZE, SIZE);
  if (box) {
    const scale = (SIZE - 2 * MARGIN) / Math.max(box.width, box.height);
    const [width, height] = [box.width * scale, box.height * scale];
    target.drawImage(canvas, box.x, box.y, box.width, box.height,
      (SIZE - width) / 2, (SIZE - height) / 2, width, height);
  }
  return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
}

function inkBox(context, isDark) {
  const { data } = context.getImageData(0, 0, SIZE, SIZE);
  let [left, top, right, bottom] = [SIZE, SIZE, -1, -1];
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      if ((data[4 * (y * SIZE + x)] > 127) !== isDark) continue;
      left = Math.min(left, x); right = Math.max(right, x);
      top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
  }
  return right < 0 ? null : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}
