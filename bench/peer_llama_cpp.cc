// The peer: llama.cpp's own library in a bare process, for measuring it beside us. The library is
// opened at run time from a folder that holds libllama.so*, libggml.so* and libggml-cpu-*.so, such
// as that of npm's @node-llama-cpp/linux-x64.
//
//   start: loads a GGUF file, reads a prompt of token ids, prints the most likely next id and ends;
//          for `/usr/bin/time` beside our `ask --max-tokens 1`
//   speed: prompt and decoding, in tokens per second, as one line of JSON. As llama-bench does it:
//          a pool of threads that lives as long as the context, flash attention where llama.cpp
//          chooses it, a first run that is not counted, the median of the others
//   logits: reads token ids and compares the scores after each with those that `agentcompress logits`
//          wrote (--kv-format f32), in order; prints the largest difference. Keys and values in
//          f32, no flash attention
//
// usage: peer_llama_cpp logits LIBRARY_FOLDER CPU_LIBRARY MODEL.gguf N_THREADS ROWS.f32 ID...
//        peer_llama_cpp start LIBRARY_FOLDER CPU_LIBRARY MODEL.gguf N_THREADS ID...
//        peer_llama_cpp speed LIBRARY_FOLDER CPU_LIBRARY MODEL.gguf N_THREADS N_PROMPT N_DECODE N_RUNS
//        e.g. CPU_LIBRARY libggml-cpu-sapphirerapids.so; or libggml-cpu-icelake.so+libggml-vulkan.so for a device
//        (GGML_VK_VISIBLE_DEVICES=0 where that is a processor in disguise)
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace {

// Parameter structures go in and out by value and grow with every release. Room for any of them:
// what a function returns is written through a hidden pointer, and it reads no more of an argument
// than it knows of.
struct Blob {
  std::byte bytes[2048];
};

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "peer_llama_cpp: %s\n", what.c_str());
  std::exit(2);
}

void* open_library(const std::filesystem::path& folder, const std::string& stem) {
  // libllama.so or libllama.v0.5.0.so
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(stem + ".") || name.find(".so") == std::string::npos) continue;
    if (void* library = dlopen(entry.path().c_str(), RTLD_NOW | RTLD_GLOBAL)) return library;
    give_up(dlerror());
  }
  give_up(folder.string() + " holds no " + stem + ".so");
}

template <class Function>
Function* find(void* library, const char* name) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) give_up(dlerror());
  return reinterpret_cast<Function*>(symbol);
}

int to_number(const char* text, int min) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < min || value > 1 << 20) {
    give_up(std::string("'") + text + "', expected a number from " + std::to_string(min) + " on");
  }
  return static_cast<int>(value);
}

struct Peer {
  void* ggml = nullptr;
  void* ggml_cpu = nullptr;
  void* llama = nullptr;
  void* model = nullptr;
  void* context = nullptr;

  // n_context 0: llama.cpp's own choice.
  Peer(const std::filesystem::path& folder, const char* cpu_library, const char* file,
       int n_threads, uint32_t n_context, bool exact = false) {
    open_library(folder, "libggml-base");
    ggml = open_library(folder, "libggml");
    llama = open_library(folder, "libllama");
    find<void(void (*)(int, const char*, void*), void*)>(llama, "llama_log_set")(
        [](int, const char*, void*) {}, nullptr);
    const std::string libraries = cpu_library;
    const size_t plus = std::min(libraries.find('+'), libraries.size());
    const std::string cpu = folder / libraries.substr(0, plus);
    ggml_cpu = dlopen(cpu.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (ggml_cpu == nullptr) give_up(dlerror());
    load_backend(cpu);
    if (plus < libraries.size()) load_backend(folder / libraries.substr(plus + 1));
    const Blob model_params = find<Blob()>(llama, "llama_model_default_params")();
    model = find<void*(const char*, Blob)>(llama, "llama_model_load_from_file")(file, model_params);
    if (model == nullptr) give_up(std::string("cannot load ") + file);
    Blob context_params = find<Blob()>(llama, "llama_context_default_params")();
    if (n_context > 0) std::memcpy(context_params.bytes, &n_context, sizeof n_context);  // n_ctx
    if (exact) be_exact(context_params);
    context = find<void*(void*, Blob)>(llama, "llama_init_from_model")(model, context_params);
    if (context == nullptr) give_up("no context");
    find<void(void*, int, int)>(llama, "llama_set_n_threads")(context, n_threads, n_threads);
  }

  // Keys and values in f32 (0), which are f16 (1) by default, and no flash attention, which rounds too:
  // -1, llama.cpp's choice, is the last of four such enumerations. Types stand behind a callback and its
  // data, both null. All of it moves from release to release.
  static void be_exact(Blob& context_params) {
    const auto replace = [&](std::span<const int32_t> before, size_t n_same, int32_t value) {
      for (size_t at = 0; at < 192; at += sizeof value) {
        std::byte* const place = context_params.bytes + at;
        if (std::memcmp(place, before.data(), before.size_bytes()) != 0) continue;
        for (size_t i = n_same; i < before.size(); ++i) {
          std::memcpy(place + i * sizeof value, &value, sizeof value);
        }
        return;
      }
      give_up("llama_context_params of this release are not understood");
    };
    constexpr int32_t kTypes[] = {0, 0, 0, 0, 1, 1}, kChoices[] = {-1, -1, -1, -1};
    replace(kTypes, 4, 0);
    replace(kChoices, 3, 0);
  }

  void load_backend(const std::string& path) {
    if (find<void*(const char*)>(ggml, "ggml_backend_load")(path.c_str()) == nullptr) {
      give_up(path + " cannot be used here");
    }
  }

  void keep_threads(int n_threads) {
    const Blob params =
        find<Blob(int)>(ggml_cpu, "ggml_threadpool_params_default")(n_threads);
    void* pool = find<void*(const Blob*)>(ggml_cpu, "ggml_threadpool_new")(&params);
    if (pool == nullptr) give_up("no pool of threads");
    find<void(void*, void*, void*)>(llama, "llama_attach_threadpool")(context, pool, pool);
  }

  void decode(std::vector<int32_t>& ids) {
    const Blob batch = find<Blob(int32_t*, int32_t)>(llama, "llama_batch_get_one")(
        ids.data(), static_cast<int32_t>(ids.size()));
    if (find<int(void*, Blob)>(llama, "llama_decode")(context, batch) != 0) give_up("cannot decode");
  }

  // Of the last position.
  std::span<const float> logits() {
    const float* row = find<float*(void*, int32_t)>(llama, "llama_get_logits_ith")(context, -1);
    const void* vocabulary = find<const void*(const void*)>(llama, "llama_model_get_vocab")(model);
    const int32_t n_vocab = find<int32_t(const void*)>(llama, "llama_vocab_n_tokens")(vocabulary);
    return {row, static_cast<size_t>(n_vocab)};
  }

  int32_t likeliest() {
    const auto row = logits();
    return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
  }

  void clear() {
    void* memory = find<void*(void*)>(llama, "llama_get_memory")(context);
    find<void(void*, bool)>(llama, "llama_memory_clear")(memory, true);
  }
};

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int start(Peer& peer, std::vector<int32_t> ids) {
  peer.decode(ids);
  std::printf("%d\n", peer.likeliest());
  return 0;
}

int compare_logits(Peer& peer, const char* rows_file, const std::vector<int32_t>& ids) {
  std::ifstream rows(rows_file, std::ios::binary);
  double worst = 0, largest = 0;
  for (const int32_t id : ids) {
    std::vector<int32_t> one = {id};
    peer.decode(one);
    const auto theirs = peer.logits();
    std::vector<float> ours(theirs.size());
    rows.read(reinterpret_cast<char*>(ours.data()),
              static_cast<std::streamsize>(ours.size() * sizeof(float)));
    if (!rows) give_up(std::string(rows_file) + ": fewer rows than token ids, or shorter ones");
    for (size_t i = 0; i < ours.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(ours[i]) - static_cast<double>(theirs[i])));
      largest = std::max(largest, std::abs(static_cast<double>(theirs[i])));
    }
  }
  std::printf("%zu positions: logits up to %.3g, largest difference %.3g\n", ids.size(), largest,
              worst);
  return 0;
}

int speed(Peer& peer, int n_prompt, int n_decode, int n_runs) {
  std::vector<int32_t> prompt;
  for (int i = 0; i < n_prompt; ++i) prompt.push_back(259 + i * 79 % 240);
  std::vector<double> prefill, decode;
  for (int run = 0; run <= n_runs; ++run) {
    peer.clear();
    double begin = now_s();
    peer.decode(prompt);
    peer.likeliest();
    const double prefill_s = now_s() - begin;
    peer.clear();
    std::vector<int32_t> one = {400};
    begin = now_s();
    for (int i = 0; i < n_decode; ++i) {
      peer.decode(one);
      one[0] = peer.likeliest();
    }
    const double decode_s = now_s() - begin;
    if (run == 0) continue;
    prefill.push_back(n_prompt / prefill_s);
    decode.push_back(n_decode / decode_s);
  }
  std::printf("{\"prefill_tokens_per_s\": %.6g, \"decode_tokens_per_s\": %.6g}\n", median(prefill),
              median(decode));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if ((what != "start" || argc < 7) && (what != "speed" || argc != 9) &&
      (what != "logits" || argc < 8)) {
    give_up(
        "usage: peer_llama_cpp start LIBRARY_FOLDER CPU_LIBRARY MODEL.gguf N_THREADS ID...\n"
        "       peer_llama_cpp speed LIBRARY_FOLDER CPU_LIBRARY MODEL.gguf N_THREADS N_PROMPT "
        "N_DECODE N_RUNS\n"
        "       peer_llama_cpp logits LIBRARY_FOLDER CPU_LIBRARY MODEL.gguf N_THREADS ROWS.f32 "
        "ID...");
  }
  const int n_threads = to_number(argv[5], 1);
  if (what != "speed") {
    const bool compares = what == "logits";
    Peer peer(argv[2], argv[3], argv[4], n_threads, 0, compares);
    std::vector<int32_t> ids;
    for (int i = compares ? 7 : 6; i < argc; ++i) ids.push_back(to_number(argv[i], 0));
    return compares ? compare_logits(peer, argv[6], ids) : start(peer, std::move(ids));
  }
  const int n_prompt = to_number(argv[6], 1), n_decode = to_number(argv[7], 1);
  Peer peer(argv[2], argv[3], argv[4], n_threads,
            static_cast<uint32_t>(std::max(n_prompt, n_decode) + 64));
  peer.keep_threads(n_threads);
  return speed(peer, n_prompt, n_decode, to_number(argv[8], 1));
}
