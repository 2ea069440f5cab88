#include "runtime/core/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "runtime/core/ini.h"

namespace ac {
namespace {

namespace fs = std::filesystem;

std::string ini_error(std::string_view text) {
  Settings settings = default_settings();
  const Status status = settings.apply_ini(text, "lab.ini", "/home/u");
  if (status) return "";
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  return status.error().message;
}

TEST(SettingsTable, EveryRowIsWellFormed) {
  std::set<std::string> names, flags, variables;
  for (const SettingRow& row : setting_rows()) {
    EXPECT_TRUE(names.insert(setting_name(row)).second) << setting_name(row);
    EXPECT_TRUE(flags.insert(setting_flag(row)).second) << setting_flag(row);
    EXPECT_TRUE(variables.insert(setting_environment(row)).second);
    EXPECT_EQ(find_setting(setting_name(row)), &row);
    EXPECT_FALSE(row.help.empty());
    // The default must pass its own check.
    SettingSources sources;
    sources.working_folder_file = sources.system_file = "/nonexistent/x.ini";
    sources.flags = {{setting_name(row), std::string(row.default_value)}};
    const auto loaded = Settings::load(sources);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
    EXPECT_EQ(loaded->text(setting_name(row)), row.default_value);
    EXPECT_EQ(loaded->origin(setting_name(row)), "flag " + setting_flag(row));
  }
  EXPECT_EQ(find_setting("engine"), nullptr);
  EXPECT_EQ(find_setting("engine.threadsx"), nullptr);
  EXPECT_EQ(find_setting(""), nullptr);
}

TEST(SettingsIni, ReadsValuesAndRemembersLines) {
  Settings settings = default_settings();
  ASSERT_TRUE(settings
                  .apply_ini("# laboratory\nversion = 1\n\n[generate]\n  temperature = 0.5 ; warm\n"
                             "seed=7\r\n[privacy]\noffline = yes\n[route]\nzoo = z/a.zoo\n",
                             "/etc/lab/lab.ini", "")
                  .has_value());
  EXPECT_EQ(settings.number("generate.temperature"), 0.5);
  EXPECT_EQ(settings.origin("generate.temperature"), "/etc/lab/lab.ini:5");
  EXPECT_EQ(settings.integer("generate.seed"), 7);
  EXPECT_TRUE(settings.yes("privacy.offline"));
  EXPECT_EQ(settings.text("route.zoo"), "/etc/lab/z/a.zoo");
  EXPECT_TRUE(settings.is_default("engine.threads"));
  EXPECT_FALSE(settings.is_default("generate.seed"));
}

TEST(SettingsIni, HomeIsExpandedInPaths) {
  Settings settings = default_settings();
  ASSERT_TRUE(
      settings.apply_ini("version=1\n[route]\nzoo=~/a.zoo\n", "x.ini", "/home/u").has_value());
  EXPECT_EQ(settings.text("route.zoo"), "/home/u/a.zoo");
}

TEST(SettingsIni, UnknownNamesGetTheNearestOne) {
  EXPECT_EQ(ini_error("version=1\n[generate]\ntemprature=1\n"),
            "lab.ini:3: unknown key 'temprature' in [generate], did you mean 'temperature'?");
  EXPECT_EQ(ini_error("version=1\n[genrate]\nqqq=1\n"),
            "lab.ini:3: unknown section [genrate], did you mean 'generate'?");
  EXPECT_EQ(ini_error("version=1\n[engine]\nseed=1\n"),
            "lab.ini:3: key 'seed' belongs into [generate], found it in [engine]");
  EXPECT_EQ(ini_error("version=1\nseed=1\n"),
            "lab.ini:2: key 'seed' belongs into [generate], found it before the first section");
}

TEST(SettingsIni, KeysAreRefusedInTheFile) {
  const std::string message = ini_error("version=1\n[remote]\napi_key = sk-secret\n");
  EXPECT_NE(message.find("api_key_env"), std::string::npos);
  EXPECT_NE(message.find("api_key_file"), std::string::npos);
  EXPECT_EQ(message.find("sk-secret"), std::string::npos);
}

TEST(SettingsIni, DuplicatesVersionAndSyntax) {
  EXPECT_EQ(ini_error("version=1\n[generate]\nseed=1\n[engine]\n[generate]\nseed=1\n"),
            "lab.ini:6: generate.seed is there already, in line 3");
  EXPECT_EQ(ini_error("version=1\nversion=1\n"), "lab.ini:2: version is there already, in line 1");
  EXPECT_EQ(ini_error("version=2\n"), "lab.ini:1: version is '2', expected 1");
  EXPECT_EQ(ini_error("[generate]\nseed=1\n"),
            "lab.ini:1: 'version = 1' is missing, expected before the first section");
  EXPECT_NE(ini_error(""), "");
  EXPECT_EQ(ini_error("version=1\n\ngarbage\n"),
            "lab.ini:3: expected [section], key = value or a comment");
  EXPECT_EQ(ini_error("version=1\n[generate\n"),
            "lab.ini:2: expected [section], key = value or a comment");
}

TEST(SettingsIni, WrongTypesAndRanges) {
  EXPECT_EQ(ini_error("version=1\n[generate]\ntop_p=1.5\n"),
            "lab.ini:3: top_p is '1.5', expected 0 to 1");
  EXPECT_EQ(ini_error("version=1\n[engine]\nthreads=two\n"),
            "lab.ini:3: threads is 'two', expected 0 to 1024");
  EXPECT_EQ(ini_error("version=1\n[engine]\nbackend=gpu\n"),
            "lab.ini:3: backend is 'gpu', expected auto|cpu|vulkan");
  EXPECT_EQ(ini_error("version=1\n[privacy]\noffline=maybe\n"),
            "lab.ini:3: offline is 'maybe', expected yes|no");
  EXPECT_EQ(ini_error("version=1\n[remote]\nconnect_timeout_ms=0\n"),
            "lab.ini:3: connect_timeout_ms is '0', expected 1 to 3600000 ms");
  for (const std::string_view bad :
       {"", "1.5", "1 2", "0x10", "99999999999999999999", "nan", "-1"}) {
    EXPECT_NE(ini_error(fmt::format("version=1\n[engine]\nthreads={}\n", bad)), "") << bad;
  }
  for (const std::string_view bad : {"", "inf", "nan", "1e999", "0,5", "-0.1"}) {
    EXPECT_NE(ini_error(fmt::format("version=1\n[generate]\ntemperature={}\n", bad)), "") << bad;
  }
}

TEST(SettingsIni, BytesThatAreNotText) {
  EXPECT_EQ(ini_error("\xef\xbb\xbfversion=1\n[generate]\nseed=3\n"), "");
  EXPECT_EQ(ini_error(std::string_view("version=1\n[generate]\nse\0ed=3\n", 29)),
            "lab.ini:3: control character 0x00 at column 3, expected text");
  const std::string long_line = "version=1\n#" + std::string(5000, 'x') + "\n";
  EXPECT_EQ(ini_error(long_line), "lab.ini:2: the line has 5001 bytes, expected at most 4096");
  EXPECT_EQ(ini_error("version = 1\n  [" + std::string(50, 'a') + "]\n"),
            "lab.ini:2: the name of the section has 50 bytes, expected at most 49");
  EXPECT_EQ(ini_error("version = 1\n[" + std::string(60, 'a')),
            "lab.ini:2: the name of the section has 60 bytes, expected at most 49");
  // A line longer than inih's default buffer of 200 bytes stays one line.
  EXPECT_EQ(ini_error("version=1\n[remote]\nurl=" + std::string(4000, 'x') + "\n"), "");
  // Names longer than inih keeps are still unknown names.
  EXPECT_NE(ini_error("version=1\n[" + std::string(300, 's') + "]\nseed=1\n"), "");
}

TEST(SettingsIni, EveryCutParsesOrFailsWithALine) {
  const std::string text =
      "\xef\xbb\xbf; c\nversion = 1\n[generate]\nseed = 7\ntop_p = 0.5\n[remote]\nurl = http://x/ "
      "; y\n";
  for (size_t n = 0; n <= text.size(); ++n) {
    const std::string message = ini_error(std::string_view(text).substr(0, n));
    EXPECT_TRUE(message.empty() || message.starts_with("lab.ini:")) << n << " " << message;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      ini_error(flipped);
    }
  }
}

class SettingsFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "ac_settings_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    sources_.working_folder_file = (folder_ / "agentcompress.ini").string();
    sources_.system_file = (folder_ / "etc.ini").string();
    sources_.environment = {"XDG_CONFIG_HOME=" + folder_.string(), "HOME=/home/u"};
  }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const std::string& name, std::string_view generate) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "version = 1\n[generate]\n" << generate << "\n";
  }
  fs::path folder_;
  SettingSources sources_;
};

TEST_F(SettingsFiles, EachPlaceOverridesTheOneBelow) {
  const auto seed = [&] {
    const auto settings = Settings::load(sources_);
    EXPECT_TRUE(settings.has_value()) << settings.error().message;
    return fmt::format("{} {}", settings->integer("generate.seed"),
                       settings->origin("generate.seed"));
  };
  EXPECT_EQ(seed(), "0 default");
  put("etc.ini", "seed=1");
  EXPECT_EQ(seed(), "1 " + sources_.system_file + ":3");
  put("agentcompress/config.ini", "seed=2");
  EXPECT_EQ(seed(), "2 " + (folder_ / "agentcompress/config.ini").string() + ":3");
  put("agentcompress.ini", "seed=3");
  EXPECT_EQ(seed(), "3 " + sources_.working_folder_file + ":3");
  put("lab.ini", "top_k=4");
  sources_.config_file = (folder_ / "lab.ini").string();
  EXPECT_EQ(seed(), "2 " + (folder_ / "agentcompress/config.ini").string() + ":3");
  sources_.environment.push_back("AGENTCOMPRESS_GENERATE_SEED=5");
  EXPECT_EQ(seed(), "5 environment AGENTCOMPRESS_GENERATE_SEED");
  sources_.flags.emplace_back("generate.seed", "6");
  EXPECT_EQ(seed(), "6 flag --seed");
  EXPECT_EQ(Settings::load(sources_)->files(),
            (std::vector<std::string>{sources_.config_file,
                                      (folder_ / "agentcompress/config.ini").string(),
                                      sources_.system_file}));
}

TEST_F(SettingsFiles, OnlyAFileThatWasAskedForMustExist) {
  EXPECT_TRUE(Settings::load(sources_).has_value());
  sources_.config_file = (folder_ / "none.ini").string();
  EXPECT_EQ(Settings::load(sources_).error().code, ErrorCode::kNotFound);
}

TEST_F(SettingsFiles, EnvironmentAndFlagsAreChecked) {
  sources_.environment.push_back("AGENTCOMPRESS_GENERATE_TOP_P=2");
  EXPECT_EQ(Settings::load(sources_).error().message,
            "environment AGENTCOMPRESS_GENERATE_TOP_P: top_p is '2', expected 0 to 1");
  sources_.environment.back() = "AGENTCOMPRESS_GENERATE_SEDE=2";
  EXPECT_EQ(
      Settings::load(sources_)->warnings(),
      (std::vector<std::string>{"environment variable AGENTCOMPRESS_GENERATE_SEDE means nothing, "
                                "did you mean 'AGENTCOMPRESS_GENERATE_SEED'?"}));
  sources_.environment.back() = "AGENTCOMPRESS_SEED=2";
  EXPECT_EQ(Settings::load(sources_)->warnings(),
            (std::vector<std::string>{"environment variable AGENTCOMPRESS_SEED means nothing, did "
                                      "you mean 'AGENTCOMPRESS_GENERATE_SEED'?"}));
  sources_.environment.back() = "AGENTCOMPRESS_QQQQ=2";
  EXPECT_EQ(Settings::load(sources_)->warnings(),
            (std::vector<std::string>{"environment variable AGENTCOMPRESS_QQQQ means nothing"}));
  sources_.environment.back() = "AGENTCOMPRESS_API_KEY=k";  // the default of remote.api_key_env
  EXPECT_TRUE(Settings::load(sources_)->warnings().empty());
  sources_.flags = {{"engine.threads", "x"}};
  EXPECT_EQ(Settings::load(sources_).error().message,
            "flag --threads: threads is 'x', expected 0 to 1024");
}

TEST_F(SettingsFiles, AFolderOrAnEndlessFileIsAnError) {
  sources_.config_file = folder_.string();
  EXPECT_FALSE(Settings::load(sources_).has_value());
  sources_.config_file = "/dev/zero";
  EXPECT_FALSE(Settings::load(sources_).has_value());
}

}  // namespace
}  // namespace ac
