// A canvas to draw on, bright on black, with a pointer or by keyboard: a pixel of the drawing is a pixel of the canvas.

const RADIUS = 1.1; // of the brush, in pixels
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Makes a canvas a drawing pad.
//   canvas: as wide and as high as the drawing.
//   cursor: an element over it, which shows where the keyboard draws.
//   onChange: is called with whether a stroke has ended, after each change.
// Returns a function that clears the drawing.
export function makeDrawingPad(canvas, cursor, onChange) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const size = canvas.width;
  let at = [size / 2, size / 2];
  let last = null;
  let isPicture = true; // what the canvas shows is no drawing: the first stroke replaces it

  function clear() {
    context.fillStyle = "black";
    context.fillRect(0, 0, size, size);
    isPicture = false;
  }

  // Brightens the pixels near a point, less towards the edge of the brush.
  function dab([x, y]) {
    const image = context.getImageData(0, 0, size, size);
    for (let place = 0; place < size * size; place += 1) {
      const distance = Math.hypot((place % size) + 0.5 - x, Math.floor(place / size) + 0.5 - y);
      const value = 255 * Math.min(Math.max(RADIUS + 0.5 - distance, 0), 1);
      image.data.fill(Math.max(image.data[4 * place], value), 4 * place, 4 * place + 3);
    }
    context.putImageData(image, 0, 0);
  }

  function stroke(to) {
    if (isPicture) {
      clear();
    }
    const from = last ?? to;
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let step = 1; step <= steps; step += 1) {
      dab([0, 1].map((axis) => from[axis] + ((to[axis] - from[axis]) * step) / steps));
    }
    last = to;
  }

  function pointOf(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * size, ((event.clientY - box.top) / box.height) * size];
  }

  function showCursor() {
    cursor.style.left = `${(100 * at[0]) / size}%`;
    cursor.style.top = `${(100 * at[1]) / size}%`;
    cursor.hidden = !canvas.matches(":focus-visible");
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    stroke(pointOf(event));
    onChange(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) {
      stroke(pointOf(event));
      onChange(false);
    }
  });
  canvas.addEventListener("lostpointercapture", () => {
    last = null;
    onChange(true);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step) {
      last = event.shiftKey ? last : null; // a step without a line leaves the last one
      at = at.map((value, axis) => Math.min(Math.max(value + step[axis], 0.5), size - 0.5));
    }
    if (event.key === " " || (step && event.shiftKey)) {
      stroke(at);
      last = step ? at : null;
      onChange(true);
    }
    if (step || event.key === " ") {
      event.preventDefault(); // the page does not scroll
      showCursor();
    }
  });
  canvas.addEventListener("focus", showCursor);
  canvas.addEventListener("blur", showCursor);
  return {
    clear() {
      clear();
      last = null;
    },
    replace() {
      isPicture = true;
      last = null;
    },
  };
}
