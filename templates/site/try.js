// "Try it" on a module's page: classifies the visitor's pictures with the published .tflite file. hub.js loads this script
// after the click; the model runs in a worker (litert-<version>/worker.js).

import { decode, prepare, preprocess, UnusablePicture } from "./preprocessing.js";
import { makeDrawingPad } from "./drawing_pad.js";

const CAMERA_PROBLEMS = {
  NotAllowedError: "The camera was refused. Allow it for this page in the browser's settings, or choose a picture.",
  NotFoundError: "There is no camera. Choose a picture instead.",
  NotReadableError: "Another program uses the camera. Close it there, or choose a picture.",
};

// A model in a worker, which answers in the order of the questions.
class Model {
  #worker;
  #answers = new Map();
  #count = 0;
  #failure = null; // of the script, which may come before the first question

  constructor(address, onProgress) {
    this.#worker = new Worker(address);
    this.#worker.addEventListener("message", ({ data }) => {
      if (data.total) {
        onProgress(data.loaded / data.total);
        return;
      }
      const { resolve, reject } = this.#answers.get(data.id);
      this.#answers.delete(data.id);
      data.problem ? reject(new Error(data.problem)) : resolve(data.value);
    });
    this.#worker.addEventListener("error", (event) => {
      const reason = event.message ? `stopped: ${event.message}` : "could not be loaded; try again";
      this.#failure = new Error(`The script that runs the model ${reason}`);
      this.#answers.forEach(({ reject }) => reject(this.#failure));
      this.#answers.clear();
    });
  }

  ask(message) {
    if (this.#failure) {
      return Promise.reject(this.#failure);
    }
    this.#count += 1;
    const id = this.#count;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...message });
    });
  }

  stop() {
    this.#worker.terminate();
  }
}

function probabilitiesOf(logits, activation) {
  if (activation === "sigmoid") {
    return Array.from(logits, (value) => 1 / (1 + Math.exp(-value)));
  }
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

// Returns the classes of an output: { label, probability }, the most likely first.
export function rank(logits, facts) {
  if (logits.length !== facts.labels.length) {
    throw new Error(`The model has ${logits.length} outputs, and ${facts.labels.length} labels are published.`);
  }
  if (!logits.every(Number.isFinite)) {
    throw new Error("The model's outputs are not numbers: this picture cannot be classified.");
  }
  const classes = probabilitiesOf(logits, facts.activation).map((probability, index) => ({
    label: facts.labels[index],
    probability,
  }));
  return classes.sort((a, b) => b.probability - a.probability);
}

function inPercent(probability) {
  return probability > 0 && probability < 0.0005 ? "< 0.1 %" : `${(100 * probability).toFixed(1)} %`;
}

function inTime(seconds) {
  return seconds < 1 ? `${Math.max(1, Math.round(1000 * seconds))} ms` : `${seconds.toFixed(1)} s`;
}

// Loads a file, a Blob. `what` begins the sentence that tells the visitor why it cannot.
async function load(address, what) {
  const response = await fetch(address).catch(() => null);
  const content = response?.ok ? await response.blob().catch(() => null) : null;
  if (!content) {
    const hasRefused = response && !response.ok;
    const reason = hasRefused ? `the host answered ${response.status} for ${response.url}` : "check the connection";
    throw new Error(`${what} could not be loaded: ${reason}.`);
  }
  return content;
}

async function digest(content) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await content.arrayBuffer()));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function loadFacts(address, sha256) {
  const content = await load(address, "The labels of the model");
  if (window.crypto.subtle && (await digest(content)) !== sha256) { // only where the page came by https
    throw new Error("The labels of the model are damaged on this host: they are not those that the hub's index lists.");
  }
  return JSON.parse(await content.text());
}

// The panel of the page, with a model that is ready.
class Trial {
  #model;
  #facts;
  #state;
  #panel;
  #canvas;
  #video;
  #pad = null;
  #next = null; // the newest input that waits while the model computes
  #isBusy = false;
  #round = 0; // a picture or Clear begins another; pictures and sentences that come late from an earlier one are dropped
  #clearings = 0; // classes of what was cleared are dropped, too
  #wantsCamera = false; // until a picture comes

  constructor(section, model, facts) {
    this.#model = model;
    this.#facts = facts;
    this.#state = section.querySelector("[role=status]");
    this.#panel = section.querySelector(".panel");
    this.#canvas = this.#panel.querySelector("canvas");
    this.#video = this.#panel.querySelector("video");
    this.#canvas.width = this.#canvas.height = facts.image_size;
    this.#listen(section);
    if (this.#button("clear")) {
      this.#offerDrawing();
    }
  }

  #button(name) {
    return this.#panel.querySelector(`button[data-do=${name}]`);
  }

  #listen(section) {
    const file = this.#panel.querySelector("input[type=file]");
    this.#button("choose").addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      this.#classifyFile(file.files[0]);
      file.value = ""; // so that the same file can be chosen again
    });
    document.addEventListener("paste", (event) => this.#classifyFirst(event.clipboardData, "pasted"));
    section.addEventListener("dragover", (event) => {
      event.preventDefault();
      section.classList.add("over");
    });
    section.addEventListener("dragleave", () => section.classList.remove("over"));
    section.addEventListener("drop", (event) => {
      event.preventDefault();
      section.classList.remove("over");
      this.#classifyFirst(event.dataTransfer, "dropped");
    });
    for (const example of this.#panel.querySelectorAll(".examples button")) {
      example.addEventListener("click", () => this.#classifyExample(example.querySelector("img")));
    }
    this.#button("camera").hidden = !navigator.mediaDevices; // as on pages without https
    this.#button("camera").addEventListener("click", () => this.#startCamera());
    this.#button("capture").addEventListener("click", () => this.#takePicture());
    this.#button("stop").addEventListener("click", () => this.#stopCamera());
  }

  #offerDrawing() {
    const size = this.#facts.image_size;
    this.#canvas.tabIndex = 0;
    this.#canvas.classList.add("pad");
    this.#canvas.setAttribute("role", "application");
    this.#describe("Drawing pad");
    this.#canvas.setAttribute("aria-describedby", "trial-keys");
    this.#pad = makeDrawingPad(this.#canvas, this.#panel.querySelector(".cursor"), (hasEnded) => {
      const { data } = this.#canvas.getContext("2d").getImageData(0, 0, size, size);
      this.#describe("Drawing pad, with your drawing");
      this.#classify(preprocess((row) => data.subarray(4 * size * row, 4 * size * (row + 1)), size, size, size), hasEnded);
    });
    this.#pad.clear();
    this.#button("clear").addEventListener("click", () => {
      this.#begin();
      this.#clearings += 1;
      this.#next = null;
      this.#pad.clear();
      this.#describe("Drawing pad");
      this.#showClasses([]);
      this.say("Cleared.");
    });
  }

  #describe(text) {
    this.#canvas.setAttribute("aria-label", text);
  }

  say(text, isProblem = false) {
    this.#state.textContent = text;
    this.#state.classList.toggle("problem", isProblem);
  }

  // Begins a round and returns its number.
  #begin() {
    this.#round += 1;
    return this.#round;
  }

  // Classifies the picture that was pasted or dropped, if there is one.
  #classifyFirst(transfer, how) {
    if (transfer.files.length) {
      this.#classifyFile(transfer.files[0]);
    } else {
      this.say(`What was ${how} is no file. Save the picture first, then choose or drop the file.`, true);
    }
  }

  #classifyExample(image) {
    const picture = load(image.src, "The example").catch((error) => {
      throw new UnusablePicture(error.message);
    });
    return this.#classifyPicture(picture, image.alt);
  }

  #classifyFile(file) {
    return this.#classifyPicture(file, file.name || "the picture");
  }

  // Decodes and classifies a Blob, the promise of one, or a frame of the camera.
  async #classifyPicture(source, name) {
    const round = this.#begin();
    this.#stopCamera();
    try {
      const image = await decode(await source);
      if (round !== this.#round) {
        image.close();
        return;
      }
      const input = prepare(image, this.#facts.image_size);
      image.close();
      this.#showInput(input, name);
      this.#classify(input, true);
    } catch (error) {
      const text = error instanceof UnusablePicture ? error.message : `The picture could not be read: ${error.message}`;
      if (round === this.#round) {
        this.say(text, true);
      }
    }
  }

  #showInput(input, name) {
    const size = this.#facts.image_size;
    const image = new ImageData(size, size);
    for (let place = 0; place < size * size; place += 1) {
      const pixel = input.subarray(3 * place, 3 * place + 3).map((value) => 127.5 * value + 127.5);
      image.data.set([...pixel, 255], 4 * place);
    }
    this.#canvas.getContext("2d").putImageData(image, 0, 0);
    this.#describe(`What the model sees of ${name}`);
    this.#pad?.replace();
  }

  // Runs the model; of the inputs that come meanwhile the newest is next. `isFinal`: whether to tell screen readers.
  async #classify(input, isFinal) {
    this.#next = { input, isFinal };
    if (this.#isBusy) {
      return;
    }
    this.#isBusy = true;
    while (this.#next) {
      const now = this.#next;
      const [round, clearings] = [this.#round, this.#clearings];
      this.#next = null;
      const answer = await this.#ask(now.input);
      if (clearings === this.#clearings) {
        this.#showClasses(answer.classes);
      }
      if (round === this.#round && (now.isFinal || answer.isProblem)) {
        this.say(answer.text, answer.isProblem);
      }
    }
    this.#isBusy = false;
  }

  // Runs the model; returns the classes, and the sentence for the visitor.
  async #ask(input) {
    try {
      const { values, seconds } = await this.#model.ask({ task: "run", input });
      const classes = rank(values, this.#facts);
      const text = `${classes[0].label}: ${inPercent(classes[0].probability)}, in ${inTime(seconds)}.`;
      return { classes, text, isProblem: false };
    } catch (error) {
      return { classes: [], text: error.message, isProblem: true };
    }
  }

  #showClasses(classes) {
    this.#panel.querySelectorAll(".bars li").forEach((row, place) => {
      const { label, probability } = classes[place] ?? { label: "", probability: 0 };
      row.querySelector(".label").textContent = label;
      row.querySelector(".share").textContent = label && inPercent(probability);
      row.querySelector(".bar").style.width = `${100 * probability}%`;
    });
  }

  async #startCamera() {
    const button = this.#button("camera");
    button.disabled = this.#wantsCamera = true; // the browser may ask the visitor first
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (this.#wantsCamera) {
        this.#video.srcObject = stream;
        await this.#video.play();
        this.#showCamera(true);
      } else {
        stream.getTracks().forEach((track) => track.stop());
      }
    } catch (error) {
      if (this.#wantsCamera) {
        this.#stopCamera();
        this.say(CAMERA_PROBLEMS[error.name] ?? `The camera does not work: ${error.message}`, true);
      }
    } finally {
      button.disabled = false;
    }
    if ([button, document.body].includes(document.activeElement)) { // the button was disabled or is hidden
      (this.#wantsCamera ? this.#button("capture") : button).focus();
    }
  }

  #showCamera(isOn) {
    this.#video.hidden = !isOn;
    this.#button("choose").hidden = isOn;
    this.#button("camera").hidden = isOn || !navigator.mediaDevices;
    this.#button("capture").hidden = this.#button("stop").hidden = !isOn;
  }

  async #takePicture() {
    let frame;
    try {
      frame = await createImageBitmap(this.#video);
    } catch (error) {
      this.say(`The camera gave no picture: ${error.message}`, true);
      return;
    }
    await this.#classifyPicture(frame, "the camera's picture");
  }

  #stopCamera() {
    const hadFocus = [this.#button("capture"), this.#button("stop")].includes(document.activeElement);
    this.#wantsCamera = false;
    this.#video.srcObject?.getTracks().forEach((track) => track.stop());
    this.#video.srcObject = null;
    this.#showCamera(false);
    if (hadFocus) {
      this.#button("camera").focus();
    }
  }
}

// Loads the model that a section of the page names, and makes its panel work; throws an Error for the visitor.
export async function open(section) {
  const { model, size, sha256, facts: factsAddress, factsSha256, worker } = section.dataset;
  const progress = section.querySelector("progress");
  const runner = new Model(new URL(worker, location), (share) => {
    progress.value = share;
  });
  try {
    const facts = await loadFacts(new URL(factsAddress, location), factsSha256);
    const address = new URL(model, location).href;
    await runner.ask({ task: "load", model: address, size: Number(size), sha256, imageSize: facts.image_size });
    new Trial(section, runner, facts).say("The model is ready.");
  } catch (error) {
    runner.stop();
    throw error;
  }
}
