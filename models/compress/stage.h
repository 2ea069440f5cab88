// A stage: one technique applied to one checkpoint, layer by layer, kept on disk as it goes.
//
// A stage makes *parts*, one for each layer and one for what lies outside the layers ("ends"). A
// part that is in the build folder already is taken from there, so that an interrupted build goes
// on where it was. The result is a checkpoint of views: into the parts where they changed
// something, into what the stage began with elsewhere. Nothing of the size of the model is held in
// memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cpu/threads.h"
#include "models/arch/model.h"
#include "models/compress/calibration_text.h"
#include "models/compress/moments.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// The key of what `text` says is done to what `key` stands for: 16 hexadecimal digits.
std::string derived_key(std::string_view key, std::string_view text);

// A folder of finished parts. Files in it are whole or not there.
class BuildFolder {
 public:
  // Makes the folder. One that is there must be such a folder. Errors: kInvalidArgument (it holds
  // something else), kIo.
  static Result<BuildFolder> open(const std::string& path);

  const std::string& path() const { return path_; }
  bool has(const std::string& name) const;
  Result<Checkpoint> load(const std::string& name) const;
  // Writes and maps back.
  Result<Checkpoint> store(const std::string& name, const Checkpoint& checkpoint) const;
  // Deletes the folder and all that open() and store() made. Errors: kIo.
  Status remove() const;

 private:
  std::string path_;
};

// What one technique changes of one layer.
struct Part {
  Checkpoint tensors;                     // new and replaced ones
  std::vector<std::string> removed = {};  // names that are gone
  std::vector<std::string> notes = {};    // for the manifest
};

class Stage {
 public:
  struct Parts {
    std::shared_ptr<const Checkpoint> base;  // what all variants come from, unpacked
    std::shared_ptr<const Checkpoint> from;  // what this stage begins with, unpacked
    const BuildFolder* folder = nullptr;
    // Keys name parts: each says by a hash what was done to what. `from_key` stands for `from`,
    // `key` for what this stage makes of it.
    std::string from_key;
    std::string key;
    cpu::ThreadTeam* team = nullptr;
    // Moments of `from`.
    std::function<Result<LayerMoments>(int32_t layer)> moments = {};
    const TokenWindows* calibration = nullptr;
    const TokenWindows* recovery = nullptr;  // begins as `calibration` does, and goes on
    std::function<void(uint64_t done, uint64_t total, std::string_view note)> progress = {};
  };
  explicit Stage(Parts parts) : parts_(std::move(parts)) {}

  const Checkpoint& base() const { return *parts_.base; }
  const Checkpoint& from() const { return *parts_.from; }
  std::shared_ptr<const Checkpoint> shared_from() const { return parts_.from; }
  cpu::ThreadTeam& team() const { return *parts_.team; }
  Result<LayerMoments> moments(int32_t layer) const { return parts_.moments(layer); }
  const TokenWindows& calibration() const { return *parts_.calibration; }
  const TokenWindows& recovery() const { return *parts_.recovery; }
  void progress(uint64_t done, uint64_t total, std::string_view note) const {
    if (parts_.progress) parts_.progress(done, total, note);
  }

  // The same stage for the one of n_steps steps that begins when `step` are done: its progress is
  // that step's share of this one's.
  Stage step(uint64_t step, uint64_t n_steps) const {
    Parts parts = parts_;
    parts.progress = [all = parts_.progress, step, n_steps](uint64_t done, uint64_t total,
                                                            std::string_view note) {
      if (all) all(step * total + done, n_steps * total, note);
    };
    return Stage(std::move(parts));
  }

  // The part `name`: from the folder, or made and kept there.
  Result<Part> part(const std::string& name, const std::function<Result<Part>()>& make) const {
    return keyed_part(parts_.key, name, make);
  }
  // A part that depends on `from` and on what `text` says, and on nothing else of this stage:
  // others that begin with the same share it.
  Result<Part> shared_part(std::string_view text, const std::string& name,
                           const std::function<Result<Part>()>& make) const {
    return keyed_part(derived_key(parts_.from_key, text), name, make);
  }

 private:
  Result<Part> keyed_part(const std::string& key, const std::string& name,
                          const std::function<Result<Part>()>& make) const;

  Parts parts_;
};

// `from` with the parts applied. Views; keeps `from` and the parts alive.
Checkpoint assemble(std::shared_ptr<const Checkpoint> from, std::vector<Part> parts);

// What a technique made.
struct StageResult {
  Checkpoint checkpoint;
  std::vector<std::string> notes;
};

}  // namespace ac
