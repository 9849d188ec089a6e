// Turns pictures into a model's input as the modules do (pipeline/model/preprocessing.py): resized bilinearly with
// half-pixel centres and without antialiasing, then scaled to [-1, 1]. Each step is rounded to 32 bits, in TensorFlow's
// order, so that the result is the same to the bit. The canvas' own resampling is none of these, and each browser's.

const WIDEST = 16384; // pixels of a canvas, in Safari and Chromium
const round = Math.fround;

// A picture that cannot be used; its message is for the visitor.
export class UnusablePicture extends Error {}

// Decodes an image file, without converting its colours to a profile's. Returns an ImageBitmap.
export async function decode(file) {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    const name = file.name ? `“${file.name}”` : "This";
    throw new UnusablePicture(`${name} is not a picture that this browser can read. Choose a JPEG, PNG or WebP file.`);
  }
}

// For each of `size` pixels along one side: the two source pixels, and the weight of the second, from 0 to 1.
export function interpolation(length, size) {
  const scale = round(length / size);
  return Array.from({ length: size }, (_, index) => {
    const at = round(round((index + 0.5) * scale) - 0.5);
    const before = Math.floor(at);
    return { before: Math.max(before, 0), after: Math.min(Math.ceil(at), length - 1), weight: round(at - before) };
  });
}

// Resizes and scales a picture.
//   rowOf: returns a row of the picture, 8 bits each of red, green, blue and anything else for each pixel.
//   width, height: of the picture.
//   size: the side of the result, in pixels.
// Returns a Float32Array of size * size * 3 values in [-1, 1].
export function preprocess(rowOf, width, height, size) {
  const across = interpolation(width, size);
  const result = new Float32Array(size * size * 3);
  let place = 0;
  for (const down of interpolation(height, size)) {
    const above = rowOf(down.before);
    const below = rowOf(down.after);
    for (const { before, after, weight } of across) {
      for (let channel = 0; channel < 3; channel += 1) {
        const [left, right] = [4 * before + channel, 4 * after + channel];
        const top = round(round((above[right] - above[left]) * weight) + above[left]);
        const bottom = round(round((below[right] - below[left]) * weight) + below[left]);
        const value = round(round(round(bottom - top) * down.weight) + top);
        result[place] = round(value - 127.5) / 127.5;
        place += 1;
      }
    }
  }
  return result;
}

// Returns what preprocess() takes as `rowOf`. Only the rows that it uses are drawn, so that a photograph of any height
// fits into a canvas; transparent parts become white.
function readRows(image, size) {
  const rows = [...new Set(interpolation(image.height, size).flatMap(({ before, after }) => [before, after]))];
  const canvas = new OffscreenCanvas(image.width, rows.length);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  rows.forEach((row, place) => context.drawImage(image, 0, row, image.width, 1, 0, place, image.width, 1));
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const places = new Map(rows.map((row, place) => [row, place]));
  return (row) => data.subarray(4 * image.width * places.get(row), 4 * image.width * (places.get(row) + 1));
}

// Returns a model's input for an ImageBitmap: a Float32Array of size * size * 3 values in [-1, 1].
export function prepare(image, size) {
  if (image.width > WIDEST) {
    throw new UnusablePicture(
      `This picture is ${image.width} pixels wide, and at most ${WIDEST} can be read. Choose a smaller one.`,
    );
  }
  return preprocess(readRows(image, size), image.width, image.height, size);
}
