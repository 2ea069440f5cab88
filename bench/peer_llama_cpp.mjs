// Measures llama.cpp, through the npm package node-llama-cpp, on one model file: prefill and decode tokens per second.
// Prints one JSON line. Workers: the process is expected to be started with as many allowed cores as threads.
//
// usage: node peer_llama_cpp.mjs NODE_MODULES MODEL.gguf THREADS PROMPT_TOKENS DECODE_TOKENS REPEATS
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";

const [modules, file, threads, promptTokens, decodeTokens, repeats] = process.argv.slice(2);
if (!repeats) {
  console.error("usage: peer_llama_cpp.mjs NODE_MODULES MODEL.gguf THREADS PROMPT_TOKENS DECODE_TOKENS REPEATS");
  process.exit(2);
}
const require = createRequire(path.resolve(modules, "x.js"));
const entry = path.join(path.resolve(modules), "node-llama-cpp", "dist", "index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
const started = performance.now();
const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.error,
                               maxThreads: Number(threads), progressLogs: false });
const model = await llama.loadModel({ modelPath: path.resolve(file), gpuLayers: 0, useMmap: true });
const nPrompt = Number(promptTokens), nDecode = Number(decodeTokens);
const context = await model.createContext({ contextSize: nPrompt + nDecode + 8, batchSize: Math.max(nPrompt, 8),
                                            threads: Number(threads), sequences: 1, flashAttention: true });
const sequence = context.getSequence();
const prompt = Array.from({ length: nPrompt }, (_, i) => 259 + ((i * 79) % 240));
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

// Starts llama.cpp's answer to one token, so that loading and the first graph are not part of the figures.
async function decode(count) {
  let n = 0;
  let last;
  for await (const token of sequence.evaluate([400], { temperature: 0, yieldEogToken: true })) {
    last = token;
    if (++n >= count) break;
  }
  return last;
}
await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, 8));
const firstToken = performance.now() - started;
const prefill = [], decoding = [];
for (let i = 0; i < Number(repeats); i++) {
  await sequence.clearHistory();
  let begin = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(prompt);
  prefill.push(nPrompt / ((performance.now() - begin) / 1000));
  await sequence.clearHistory();
  await decode(1);
  begin = performance.now();
  await decode(nDecode);
  decoding.push(nDecode / ((performance.now() - begin) / 1000));
}
const libraries = readFileSync("/proc/self/maps", "utf8").match(/libggml-cpu-[a-z0-9_.]+so/g) ?? [];
const peak = Number(readFileSync("/proc/self/status", "utf8").match(/VmHWM:\s+(\d+)/)[1]);
const version = JSON.parse(readFileSync(path.join(modules, "node-llama-cpp", "package.json"), "utf8")).version;
console.log(JSON.stringify({ engine: `llama.cpp (node-llama-cpp ${version})`, library: libraries[0] ?? "built in",
  threads: Number(threads), prefill_tokens_per_s: median(prefill), decode_tokens_per_s: median(decoding),
  load_ms: firstToken, peak_rss_mib: peak / 1024 }));
process.exit(0);
