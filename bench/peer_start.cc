// Start of the peer: a process that loads a GGUF file with llama.cpp's own library, reads a prompt
// of token ids, prints the most likely next id and ends; for `/usr/bin/time` beside our `ask
// --max-tokens 1`. The library is opened at run time from a folder that holds libllama.so*,
// libggml.so* and libggml-cpu-*.so, such as that of npm's @node-llama-cpp/linux-x64.
//
// usage: peer_start LIBRARY_FOLDER CPU_LIBRARY MODEL.gguf N_THREADS ID...
//        e.g. CPU_LIBRARY libggml-cpu-sapphirerapids.so
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace {

// Parameter structures go in and out by value and grow with every release. Room for any of them:
// what a function returns is written through a hidden pointer, and it reads no more of an argument
// than it knows of.
struct Blob {
  std::byte bytes[1024];
};

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "peer_start: %s\n", what.c_str());
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

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) give_up("usage: peer_start LIBRARY_FOLDER CPU_LIBRARY MODEL.gguf N_THREADS ID...");
  const std::filesystem::path folder = argv[1];
  open_library(folder, "libggml-base");
  void* ggml = open_library(folder, "libggml");
  void* llama = open_library(folder, "libllama");

  find<void(void (*)(int, const char*, void*), void*)>(llama, "llama_log_set")(
      [](int, const char*, void*) {}, nullptr);
  const std::string cpu = folder / argv[2];
  if (find<void*(const char*)>(ggml, "ggml_backend_load")(cpu.c_str()) == nullptr) {
    give_up(cpu + " cannot be used here");
  }
  const Blob model_params = find<Blob()>(llama, "llama_model_default_params")();
  void* model =
      find<void*(const char*, Blob)>(llama, "llama_model_load_from_file")(argv[3], model_params);
  if (model == nullptr) give_up(std::string("cannot load ") + argv[3]);
  const Blob context_params = find<Blob()>(llama, "llama_context_default_params")();
  void* context = find<void*(void*, Blob)>(llama, "llama_init_from_model")(model, context_params);
  if (context == nullptr) give_up("no context");
  const int n_threads = std::atoi(argv[4]);
  find<void(void*, int, int)>(llama, "llama_set_n_threads")(context, n_threads, n_threads);

  std::vector<int32_t> ids;
  for (int i = 5; i < argc; ++i) ids.push_back(std::atoi(argv[i]));
  const Blob batch = find<Blob(int32_t*, int32_t)>(llama, "llama_batch_get_one")(
      ids.data(), static_cast<int32_t>(ids.size()));
  if (find<int(void*, Blob)>(llama, "llama_decode")(context, batch) != 0) give_up("cannot decode");
  const float* logits = find<float*(void*, int32_t)>(llama, "llama_get_logits_ith")(context, -1);
  const void* vocabulary = find<const void*(const void*)>(llama, "llama_model_get_vocab")(model);
  const int32_t n_vocab = find<int32_t(const void*)>(llama, "llama_vocab_n_tokens")(vocabulary);
  std::printf("%td\n", std::max_element(logits, logits + n_vocab) - logits);
  return 0;
}
