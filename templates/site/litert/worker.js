// Runs a LiteRT model beside the page, which goes on answering meanwhile. It is the only script of the website that
// compiles WebAssembly: a host with a Content-Security-Policy has to allow it ('wasm-unsafe-eval') for this address alone.
//
// Messages to it are { id, task: "load", model, size, sha256, imageSize } or { id, task: "run", input }; its answers
// { id, value } or { id, problem }, and while it loads { id, loaded, total } in bytes.
"use strict";

const RUNTIME = "litert_wasm_compat_internal";
const FLOAT32 = 1; // kLiteRtElementTypeFloat32
const THREADS = 1; // more need headers (COOP, COEP) that static hosts do not send
const log = [];
let run = null;

// What went wrong, in a sentence for the visitor.
class Problem extends Error {}

async function download(address, what) {
  let response;
  try {
    response = await fetch(address);
  } catch {
    throw new Problem(`${what} could not be loaded: check the connection, then try again.`);
  }
  if (!response.ok) {
    throw new Problem(`${what} was not found: the host answered ${response.status} for ${response.url}.`);
  }
  return response;
}

// The file is compressed on every host, since many compress nothing. Some say so (Content-Encoding), and then the browser
// has decompressed it already: the first bytes tell.
async function loadRuntime() {
  const compressed = await (await download(`${RUNTIME}.wasm.gz`, "LiteRT.js")).blob();
  const start = new Uint8Array(await compressed.slice(0, 2).arrayBuffer());
  const isCompressed = start[0] === 0x1f && start[1] === 0x8b;
  if (isCompressed && !self.DecompressionStream) {
    throw new Problem("This browser is too old: it takes Chrome 92, Firefox 113, Safari 16.4 or newer.");
  }
  const stream = isCompressed ? compressed.stream().pipeThrough(new DecompressionStream("gzip")) : compressed.stream();
  const headers = { "Content-Type": "application/wasm" };
  try {
    return await WebAssembly.compileStreaming(new Response(stream, { headers }));
  } catch (error) {
    const reason = String(error).includes("Content Security Policy")
      ? "the host's Content-Security-Policy lacks 'wasm-unsafe-eval' for this script, which its owner can add"
      : error.message;
    throw new Problem(`This browser did not accept the WebAssembly of LiteRT.js: ${reason}.`);
  }
}

async function loadModel({ id, model, size, sha256 }) {
  const reader = (await download(model, "The model")).body.getReader();
  const content = new Uint8Array(size);
  let loaded = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    if (loaded + value.length <= size) {
      content.set(value, loaded);
    }
    loaded += value.length;
    postMessage({ id, loaded, total: size });
  }
  if (loaded !== size || (self.crypto.subtle && (await digest(content)) !== sha256)) {
    throw new Problem("The model is damaged on this host: its bytes are not those that the hub's index lists.");
  }
  return content;
}

async function digest(content) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", content)); // only where the page came by https
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function start(module) {
  importScripts(`${RUNTIME}.js`);
  const print = (text) => log.push(text);
  const instantiateWasm = (imports, done) => done(new WebAssembly.Instance(module, imports), module);
  const runtime = await self.ModuleFactory({ instantiateWasm, print, printErr: print });
  runtime.setupLogging();
  return runtime;
}

// Returns a function from a model's input to its first output and the seconds that it took. One tensor holds each input.
async function compile(runtime, content, imageSize) {
  const environment = runtime.LiteRtEnvironment.create(null); // no GPU
  const address = runtime._malloc(content.length);
  if (!address) {
    throw new Problem("The model does not fit into the memory that this browser gives a page.");
  }
  runtime.HEAPU8.set(content, address);
  const model = runtime.loadModel(environment, address, content.length);
  const options = { environment, accelerator: "wasm", cpuOptions: { numThreads: THREADS }, gpuOptions: {}, webNNOptions: {} };
  const compiled = await runtime.compileModel(environment, model, options);
  const shape = new runtime.VectorInt32();
  [1, imageSize, imageSize, 3].forEach((length) => shape.push_back(length));
  const type = runtime.LiteRtRankedTensorType.create({ value: FLOAT32 }, runtime.LiteRtLayout.create(shape));
  const { HOST_MEMORY } = runtime.LiteRtTensorBufferType;
  const { READ, WRITE } = runtime.LiteRtTensorBufferLockMode;
  const tensor = runtime.LiteRtTensorBuffer.createManaged(environment, HOST_MEMORY, type, 4 * imageSize ** 2 * 3);
  return (input) => {
    const started = performance.now();
    runtime.HEAPU8.set(new Uint8Array(input.buffer, input.byteOffset, input.byteLength), tensor.lock(WRITE));
    tensor.unlock();
    const [output, ...others] = compiled.run(0, [tensor]);
    const place = output.lock(READ);
    const values = new Float32Array(runtime.HEAPU8.slice(place, place + output.packedSize()).buffer);
    output.unlock();
    [output, ...others].forEach((each) => each.delete());
    return { values, seconds: (performance.now() - started) / 1000 };
  };
}

const TASKS = {
  async load(message) {
    if (!self.WebAssembly) {
      throw new Problem("This browser has no WebAssembly, or it is switched off, so no model can run.");
    }
    const [module, content] = await Promise.all([loadRuntime(), loadModel(message)]);
    run = await compile(await start(module), content, message.imageSize);
    run(new Float32Array(message.imageSize ** 2 * 3)); // the first run also arranges the weights
    return null;
  },
  async run({ input }) {
    return run(input);
  },
};

self.addEventListener("message", async ({ data }) => {
  try {
    postMessage({ id: data.id, value: await TASKS[data.task](data) });
  } catch (error) {
    const known = error instanceof Problem ? error.message : null;
    const last = log.filter((line) => line.startsWith("ERROR")).at(-1) ?? "";
    postMessage({ id: data.id, problem: known ?? `LiteRT.js cannot run this model: ${error?.message ?? error} ${last}`.trim() });
  }
});
