// Puts agentcompress beside llama.cpp (npm package node-llama-cpp) on the same files, threads and instruction sets, in
// turn A B A B, and prints the medians and the median of the ratios pair by pair as a Markdown table.
//
// usage: node bench/compare.mjs --modules DIR/node_modules --models a.gguf,b.gguf [--binary FILE] [--threads 1,2]
//                               [--isa avx2,avx512,amx] [--prompt 512] [--decode 128] [--rounds 3] [--device NAME]
//
// --device: on the Vulkan device of that name ("llvmpipe" is the processor in disguise), on both sides.
//
// Each process is confined to as many cores as it has threads. llama.cpp runs in a bare process of its own
// (peer_llama_cpp), with the one of the package's libraries that stands beside our instruction set.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const options = { binary: path.join(here, "../build/release/runtime/cli/agentcompress"), modules: "", models: "",
                  threads: "1,2", isa: "avx2,avx512,amx", prompt: "512", decode: "128", rounds: "3", device: "" };
for (let i = 2; i < process.argv.length; i += 2) {
  const key = process.argv[i].replace(/^--/, "");
  if (!(key in options) || i + 1 >= process.argv.length) {
    console.error(`unknown or incomplete option '${process.argv[i]}'; known: ${Object.keys(options).map((k) => "--" + k).join(" ")}`);
    process.exit(2);
  }
  options[key] = process.argv[i + 1];
}
if (!options.models) {
  console.error("compare.mjs: --models is missing");
  process.exit(2);
}

// Which of llama.cpp's builds stands beside which of our instruction sets.
const peerLibrary = { scalar: "x64", avx2: "haswell", avx_vnni: "alderlake", avx512: "icelake", amx: "sapphirerapids" };
const build = options.device ? "linux-x64-vulkan" : "linux-x64";
const peerFolder = path.join(options.modules, `@node-llama-cpp/${build}/bins/${build}`);
const peerBinary = path.join(path.dirname(options.binary), "../../bench/peer_llama_cpp");
const hasPeer = options.modules !== "" && existsSync(peerFolder);

function confined(cores, command, args, env) {
  const list = Array.from({ length: cores }, (_, i) => i).join(",");
  const result = spawnSync("taskset", ["-c", list, command, ...args], { env: { ...process.env, ...env }, encoding: "utf8", maxBuffer: 1 << 26 });
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")}: exit ${result.status}\n${result.stderr}`);
  return JSON.parse(result.stdout.trim().split("\n").pop());
}

const median = (list) => { const s = [...list].sort((a, b) => a - b); return s.length % 2 ? s[(s.length - 1) / 2] : (s[s.length / 2 - 1] + s[s.length / 2]) / 2; };
const number = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
console.log(`| model | threads | instruction set | prefill, ours | llama.cpp | ratio | decode, ours | llama.cpp | ratio | of the bandwidth |`);
console.log(`|---|---|---|---|---|---|---|---|---|---|`);
for (const model of options.models.split(",")) {
  for (const threads of options.threads.split(",").map(Number)) {
    for (const isa of options.device ? [options.device] : options.isa.split(",")) {
      const [ourArguments, ourVariables] = options.device ? [["--backend", "vulkan", "--device", options.device], {}] : [[], { AC_FORCE_ISA: isa }];
      const [peerLibraries, peerVariables] = options.device
        ? ["libggml-cpu-haswell.so+libggml-vulkan.so", options.device === "llvmpipe" ? { GGML_VK_VISIBLE_DEVICES: "0" } : {}]
        : [`libggml-cpu-${peerLibrary[isa]}.so`, {}];
      const ours = [], peer = [];
      for (let round = 0; round < Number(options.rounds); round++) {
        ours.push(confined(threads, options.binary, ["bench", "--model", model, "--threads", String(threads), "--prompt-tokens", options.prompt,
                           "--decode-tokens", options.decode, "--repeat", "1", "--json", ...ourArguments], ourVariables));
        if (hasPeer) {
          peer.push(confined(threads, peerBinary, ["speed", peerFolder, peerLibraries, model, String(threads),
                             options.prompt, options.decode, "1"], peerVariables));
        }
      }
      const column = (list, key) => list.map((entry) => entry[key]);
      const cell = (key) => {
        const mine = median(column(ours, key));
        if (!peer.length) return `${number(mine)} | – | –`;
        const ratio = median(ours.map((entry, i) => entry[key] / peer[i][key]));
        return `${number(mine)} | ${number(median(column(peer, key)))} | **${ratio.toFixed(2)}x**`;
      };
      const share = options.device ? NaN : median(column(ours, "bandwidth_share").map((value) => value ?? NaN));
      console.log(`| ${path.basename(model, ".gguf")} | ${threads} | ${isa} | ${cell("prefill_tokens_per_s")} | ${cell("decode_tokens_per_s")} | ${Number.isFinite(share) ? Math.round(share * 100) + " %" : "–"} |`);
    }
  }
}
