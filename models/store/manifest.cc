// manifest.json: what a zoo holds. Closed schema: a key that the file's version does not know is an
// error, so that a reader never misunderstands a later writer.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "models/store/byte_reader.h"
#include "models/store/sha256.h"
#include "models/store/zoo.h"
#include "models/store/zoo_layout.h"

namespace ac {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 53;  // exact in every JSON reader
constexpr int kNewestSchema = 3;
constexpr int64_t kMaxLevel = 100;
constexpr size_t kMaxVariants = 256;
constexpr size_t kMaxTextBytes = 1024;
constexpr size_t kMaxNotes = 16384;

Status check_keys(const Json& object, std::string_view what,
                  std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return fail(ErrorCode::kCorruptFile, "{} is not an object", what);
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return fail(ErrorCode::kCorruptFile, "{} has the unknown key '{}'", what, printable(key));
    }
  }
  return {};
}

Result<const Json*> array_at(const Json& object, std::string_view key, size_t max) {
  const Json* found = json_find(object, key);
  if (found == nullptr || !found->is_array()) {
    return fail(ErrorCode::kCorruptFile, "key '{}' is not an array", key);
  }
  if (found->size() > max) {
    return fail(ErrorCode::kCorruptFile, "key '{}' has {} elements, at most {} expected", key,
                found->size(), max);
  }
  return found;
}

// Text for people: printable, of bounded length.
Result<std::string> text_at(const Json& object, std::string_view key) {
  AC_TRY(std::string text, json_string(object, key));
  if (!text.empty() && !is_plain_name(text, kMaxTextBytes)) {
    return fail(ErrorCode::kCorruptFile, "key '{}' is not a line of at most {} bytes", key,
                kMaxTextBytes);
  }
  return text;
}

Result<uint64_t> count_at(const Json& object, std::string_view key) {
  AC_TRY(const int64_t count, json_integer(object, key, 0, kMaxCount));
  return static_cast<uint64_t>(count);
}

Result<std::vector<std::string>> texts_at(const Json& object, std::string_view key, size_t max) {
  AC_TRY(const Json* array, array_at(object, key, max));
  std::vector<std::string> texts;
  for (const Json& element : *array) {
    if (!element.is_string() ||
        !is_plain_name(element.get_ref<const std::string&>(), kMaxTextBytes)) {
      return fail(ErrorCode::kCorruptFile, "key '{}' holds something else than lines of text", key);
    }
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

Result<ZooMember> read_member(const Json& json) {
  AC_TRY_STATUS(check_keys(json, "a member", {"name", "size_bytes", "sha256"}));
  ZooMember member;
  AC_TRY(member.name, json_string(json, "name"));
  if (!is_zoo_member_name(member.name)) {
    return fail(ErrorCode::kCorruptFile, "'{}' is not a member's name", printable(member.name));
  }
  AC_TRY(const int64_t size_bytes, json_integer(json, "size_bytes", 1, kMaxCount));
  member.size_bytes = static_cast<uint64_t>(size_bytes);
  AC_TRY(member.sha256, json_string(json, "sha256"));
  if (!is_sha256_hex(member.sha256)) {
    return fail(ErrorCode::kCorruptFile, "the sha256 of member '{}' is not 64 hexadecimal digits",
                member.name);
  }
  return member;
}

Result<double> positive_at(const Json& object, std::string_view key) {
  AC_TRY(const double value, json_number(object, key));
  if (value >= 0) return value;
  return fail(ErrorCode::kCorruptFile, "key '{}' is {}, expected 0 or more", key, value);
}

Result<VariantQuality> read_quality(const Json& json) {
  AC_TRY_STATUS(check_keys(
      json, "the quality",
      {"n_tokens", "perplexity", "base_perplexity", "kl_mean", "kl_median", "kl_99", "same_top1"}));
  VariantQuality quality;
  AC_TRY(quality.n_tokens, count_at(json, "n_tokens"));
  AC_TRY(quality.perplexity, positive_at(json, "perplexity"));
  AC_TRY(quality.base_perplexity, positive_at(json, "base_perplexity"));
  AC_TRY(quality.kl_mean, positive_at(json, "kl_mean"));
  AC_TRY(quality.kl_median, positive_at(json, "kl_median"));
  AC_TRY(quality.kl_99, positive_at(json, "kl_99"));
  AC_TRY(quality.same_top1, positive_at(json, "same_top1"));
  return quality;
}

Result<std::vector<TaskSuccess>> read_success(const Json& json) {
  AC_TRY(const Json* array, array_at(json, "success", 64));
  std::vector<TaskSuccess> success;
  for (const Json& element : *array) {
    AC_TRY_STATUS(check_keys(element, "a task's success", {"task", "n_right", "n_total"}));
    TaskSuccess one;
    AC_TRY(one.task, text_at(element, "task"));
    AC_TRY(one.n_right, count_at(element, "n_right"));
    AC_TRY(one.n_total, count_at(element, "n_total"));
    if (one.n_right > one.n_total) {
      return fail(ErrorCode::kCorruptFile, "task '{}': {} of {} right", one.task, one.n_right,
                  one.n_total);
    }
    success.push_back(std::move(one));
  }
  return success;
}

Result<ZooVariant> read_variant(const Json& json, int64_t version) {
  if (version == 1) {
    AC_TRY_STATUS(check_keys(json, "a variant",
                             {"id", "member", "techniques", "parameters", "macs_per_token",
                              "weight_bytes", "bytes_per_token", "formats", "notes"}));
  } else if (version == 2) {
    AC_TRY_STATUS(
        check_keys(json, "a variant",
                   {"id", "member", "techniques", "parameters", "macs_per_token", "weight_bytes",
                    "bytes_per_token", "formats", "notes", "quality", "ms_per_token", "success"}));
  } else {
    AC_TRY_STATUS(check_keys(
        json, "a variant",
        {"id", "member", "level", "techniques", "parameters", "macs_per_token", "weight_bytes",
         "bytes_per_token", "formats", "notes", "quality", "ms_per_token", "success"}));
  }
  ZooVariant variant;
  AC_TRY(variant.id, json_string(json, "id"));
  if (!is_variant_id(variant.id)) {
    return fail(ErrorCode::kCorruptFile, "'{}' is not a variant's id", printable(variant.id));
  }
  AC_TRY(variant.member, json_string(json, "member"));
  if (json_find(json, "level") != nullptr) {
    AC_TRY(const int64_t level, json_integer(json, "level", 0, kMaxLevel));
    variant.level = static_cast<int32_t>(level);
  }
  AC_TRY(variant.techniques, texts_at(json, "techniques", 64));
  AC_TRY(variant.parameters, count_at(json, "parameters"));
  AC_TRY(variant.macs_per_token, count_at(json, "macs_per_token"));
  AC_TRY(variant.weight_bytes, count_at(json, "weight_bytes"));
  AC_TRY(variant.bytes_per_token, count_at(json, "bytes_per_token"));
  const Json* formats = json_find(json, "formats");
  if (formats == nullptr || !formats->is_object()) {
    return fail(ErrorCode::kCorruptFile, "key 'formats' is not an object");
  }
  for (const auto& [name, count] : formats->items()) {
    if (!weight_format_from_name(name)) {
      return fail(ErrorCode::kCorruptFile, "'{}' is not a weight format", printable(name));
    }
    AC_TRY(variant.formats[name], count_at(*formats, name));
  }
  AC_TRY(variant.notes, texts_at(json, "notes", kMaxNotes));
  if (const Json* quality = json_find(json, "quality")) {
    AC_TRY(variant.quality, read_quality(*quality));
  }
  if (json_find(json, "ms_per_token") != nullptr) {
    AC_TRY(variant.ms_per_token, positive_at(json, "ms_per_token"));
  }
  if (json_find(json, "success") != nullptr) {
    AC_TRY(variant.success, read_success(json));
  }
  return variant;
}

// What the manifest says in one place must agree with what it says in another.
Status check_references(const ZooManifest& manifest) {
  std::set<std::string_view> members;
  for (const ZooMember& member : manifest.members) {
    if (!members.insert(member.name).second) {
      return fail(ErrorCode::kCorruptFile, "member '{}' is listed twice", member.name);
    }
  }
  std::set<std::string_view> ids;
  std::set<std::string_view> used = {kTokenizerMember, kPredictorMember};
  std::map<std::string_view, std::set<int32_t>> levels;  // of members that have some
  for (const ZooVariant& variant : manifest.variants) {
    if (!ids.insert(variant.id).second) {
      return fail(ErrorCode::kCorruptFile, "variant '{}' is listed twice", variant.id);
    }
    const bool is_first = used.insert(variant.member).second;
    const bool shares = !is_first && variant.level && levels.count(variant.member) > 0 &&
                        levels[variant.member].count(*variant.level) == 0;
    if (members.count(variant.member) == 0 || (!is_first && !shares)) {
      return fail(ErrorCode::kCorruptFile,
                  "variant '{}' names the member '{}', expected one of its own, or a level of its "
                  "own",
                  variant.id, printable(variant.member));
    }
    if (variant.level) levels[variant.member].insert(*variant.level);
  }
  for (const ZooMember& member : manifest.members) {
    if (used.count(member.name) == 0) {
      return fail(ErrorCode::kCorruptFile, "member '{}' belongs to no variant", member.name);
    }
  }
  return {};
}

}  // namespace

bool is_variant_id(std::string_view id) {
  const auto lower = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (id.empty() || id.size() > 64 || !lower(id[0])) return false;
  return std::all_of(id.begin(), id.end(),
                     [&](char c) { return lower(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_zoo_member_name(std::string_view name) {
  const std::string_view folder = kVariantFolder;
  if (name.substr(0, folder.size()) == folder) name.remove_prefix(folder.size());
  return is_variant_id(name) && name.find("..") == std::string_view::npos;
}

namespace {

bool is_measured(const ZooVariant& variant) {
  return variant.quality || variant.ms_per_token > 0 || !variant.success.empty();
}

OrderedJson to_json(const ZooVariant& variant) {
  OrderedJson v;
  v["id"] = variant.id;
  v["member"] = variant.member;
  if (variant.level) v["level"] = *variant.level;
  v["techniques"] = variant.techniques;
  v["parameters"] = variant.parameters;
  v["macs_per_token"] = variant.macs_per_token;
  v["weight_bytes"] = variant.weight_bytes;
  v["bytes_per_token"] = variant.bytes_per_token;
  v["formats"] = variant.formats;
  v["notes"] = variant.notes;
  if (variant.quality) {
    const VariantQuality& q = *variant.quality;
    v["quality"] = OrderedJson{{"n_tokens", q.n_tokens},
                               {"perplexity", q.perplexity},
                               {"base_perplexity", q.base_perplexity},
                               {"kl_mean", q.kl_mean},
                               {"kl_median", q.kl_median},
                               {"kl_99", q.kl_99},
                               {"same_top1", q.same_top1}};
  }
  if (variant.ms_per_token > 0) v["ms_per_token"] = variant.ms_per_token;
  if (!variant.success.empty()) {
    v["success"] = OrderedJson::array();
    for (const TaskSuccess& one : variant.success) {
      v["success"].push_back(
          OrderedJson{{"task", one.task}, {"n_right", one.n_right}, {"n_total", one.n_total}});
    }
  }
  return v;
}

std::string written(const OrderedJson& json) {
  return json.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace

std::string variant_to_json(const ZooVariant& variant) { return written(to_json(variant)); }

Result<ZooVariant> variant_from_json(std::string_view text) {
  AC_TRY(const Json json, parse_json(text, {.max_bytes = kMaxManifestBytes, .max_depth = 6}));
  return read_variant(json, kNewestSchema);
}

std::string manifest_to_json(const ZooManifest& manifest) {
  // The oldest version that has every key: what does not need the new ones stays readable by all.
  const bool measured =
      !manifest.recipe.empty() ||
      std::any_of(manifest.variants.begin(), manifest.variants.end(), is_measured);
  const bool has_levels =
      std::any_of(manifest.variants.begin(), manifest.variants.end(),
                  [](const ZooVariant& variant) { return variant.level.has_value(); });
  OrderedJson json;
  json["schema_version"] = has_levels ? kNewestSchema : measured ? 2 : 1;
  json["base"] = manifest.base;
  json["architecture"] = manifest.architecture;
  json["n_context"] = manifest.n_context;
  if (!manifest.recipe.empty()) json["recipe"] = manifest.recipe;
  json["variants"] = OrderedJson::array();
  for (const ZooVariant& variant : manifest.variants) {
    json["variants"].push_back(to_json(variant));
  }
  json["members"] = OrderedJson::array();
  for (const ZooMember& member : manifest.members) {
    OrderedJson m;
    m["name"] = member.name;
    m["size_bytes"] = member.size_bytes;
    m["sha256"] = member.sha256;
    json["members"].push_back(std::move(m));
  }
  return written(json);
}

Result<ZooManifest> manifest_from_json(std::string_view text) {
  AC_TRY(const Json json, parse_json(text, {.max_bytes = kMaxManifestBytes, .max_depth = 6}));
  ZooManifest manifest;
  AC_TRY(const int64_t version, json_integer(json, "schema_version", 1, INT32_MAX));
  if (version > kNewestSchema) {
    return fail(ErrorCode::kUnsupported, "schema_version {}, this program reads versions 1 to {}",
                version, kNewestSchema);
  }
  if (version == 1) {
    AC_TRY_STATUS(
        check_keys(json, "the manifest",
                   {"schema_version", "base", "architecture", "n_context", "variants", "members"}));
  } else {
    AC_TRY_STATUS(check_keys(
        json, "the manifest",
        {"schema_version", "base", "architecture", "n_context", "recipe", "variants", "members"}));
  }
  manifest.schema_version = static_cast<int>(version);
  if (json_find(json, "recipe") != nullptr) {
    AC_TRY(manifest.recipe, texts_at(json, "recipe", 64));
  }
  AC_TRY(manifest.base, text_at(json, "base"));
  AC_TRY(manifest.architecture, text_at(json, "architecture"));
  AC_TRY(const int64_t n_context, json_integer(json, "n_context", 0, INT32_MAX));
  manifest.n_context = static_cast<int32_t>(n_context);
  AC_TRY(const Json* variants, array_at(json, "variants", kMaxVariants));
  for (const Json& variant : *variants) {
    AC_TRY(ZooVariant read, read_variant(variant, version));
    manifest.variants.push_back(std::move(read));
  }
  AC_TRY(const Json* members, array_at(json, "members", kMaxVariants + 2));
  for (const Json& member : *members) {
    AC_TRY(ZooMember read, read_member(member));
    manifest.members.push_back(std::move(read));
  }
  AC_TRY_STATUS(check_references(manifest));
  return manifest;
}

}  // namespace ac
