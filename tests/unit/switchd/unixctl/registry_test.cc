// SPDX-License-Identifier: Apache-2.0
// Operator commands: the texts that scripts match, and the log they steer.
#include "switchd/unixctl/registry.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "switchd/base/log.h"
#include "switchd/unixctl/common.h"
#include "tests/unit/switchd/control/test_client.h"

namespace vswitch::unixctl {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using vswitch::testing::TempDir;

struct Outcome {
  std::string text;
  bool failed = false;
};

class Unixctl : public ::testing::Test {
 protected:
  Unixctl() {
    add_common(registry_, {.exit = [this](bool cleanup) { exit_ = cleanup ? "cleanup" : "plain"; },
                           .memory =
                               [] {
                                 return Figures{{"cells", 20}, {"sessions", 3}};
                               },
                           .coverage =
                               [] {
                                 return Figures{{"commits", 17}};
                               }});
    registry_.add("fdb/show", "bridge [vlan]", 1, 2, [](Args args) { return args[0]; });
    registry_.add("broken", "", 0, 0, [](Args) -> std::string { throw std::runtime_error("disk on fire"); });
  }
  Outcome run(const std::string& name, std::vector<std::string> args = {}) {
    Outcome outcome;
    jsonrpc::Request request;
    request.version = jsonrpc::Version::v1;
    request.id = 0;
    request.wants_reply = true;
    const control::Reply reply(request, [&outcome](std::optional<Json> message) {
      outcome.failed = !message->at("error").is_null();
      outcome.text = message->at(outcome.failed ? "error" : "result").get<std::string>();
    });
    registry_.run(name, args, Answer(reply));
    return outcome;
  }
  std::string error(const std::string& name, std::vector<std::string> args = {}) {
    const Outcome outcome = run(name, std::move(args));
    EXPECT_TRUE(outcome.failed) << outcome.text;
    return outcome.text;
  }

  Registry registry_;
  std::string exit_;
};

TEST_F(Unixctl, WrongUseHasTheKnownTexts) {
  EXPECT_EQ(error("x"),
            "\"x\" is not a valid command (use \"list-commands\" to see a list of valid commands)\n");
  EXPECT_EQ(error("fdb/show"), "\"fdb/show\" command requires at least 1 arguments\n");
  EXPECT_EQ(error("fdb/show", {"a", "b", "c"}), "\"fdb/show\" command takes at most 2 arguments\n");
  EXPECT_EQ(error("version", {"now"}), "\"version\" command takes at most 0 arguments\n");
}

TEST_F(Unixctl, AFailingCommandIsAnAnswer) {
  EXPECT_EQ(error("broken"), "internal error: disk on fire\n");
}

TEST_F(Unixctl, ListCommandsIsSortedAndNamesTheArguments) {
  const std::string text = run("list-commands").text;
  EXPECT_THAT(text, StartsWith("The available commands are:\n  broken                  \n"));
  EXPECT_THAT(text, HasSubstr("\n  fdb/show                bridge [vlan]\n"));
}

TEST_F(Unixctl, ExitIsAnsweredAndPassesItsOption) {
  EXPECT_EQ(run("exit").text, "");
  EXPECT_EQ(exit_, "plain");
  run("exit", {"--cleanup"});
  EXPECT_EQ(exit_, "cleanup");
  exit_.clear();
  EXPECT_THAT(error("exit", {"--now"}), HasSubstr("--now"));
  EXPECT_EQ(exit_, "");
}

TEST_F(Unixctl, Figures) {
  EXPECT_EQ(run("memory/show").text, "cells:20 sessions:3\n");
  EXPECT_THAT(run("coverage/show").text, HasSubstr("commits                    total: 17\n"));
  EXPECT_EQ(run("coverage/read-counter", {"commits"}).text, "17\n");
  EXPECT_EQ(error("coverage/read-counter", {"nonesuch"}), "No such counter\n");
}

class LogLevels : public Unixctl {
 protected:
  ~LogLevels() override { log::set_level("", log::Level::info); }
  std::string level_of(const std::string& module, bool of_console = false) {
    std::istringstream lines(run("vlog/list").text);
    for (std::string header : {"names", "dashes"}) std::getline(lines, header);
    for (std::string name, console, syslog, file; lines >> name >> console >> syslog >> file;) {
      if (name == module) return of_console ? console : file;
    }
    return "no such module";
  }
  const log::Module module_{"unit-test"};
};

TEST_F(LogLevels, SpecsInAnyOrder) {
  EXPECT_EQ(level_of("unit-test"), "INFO");
  for (const auto& [spec, level] :
       std::vector<std::pair<std::string, std::string>>{{"unit-test:file:dbg", "DBG"},
                                                        {"warn:unit-test", "WARN"},
                                                        {"unit-test", "DBG"},
                                                        {"file:OFF unit-test", "OFF"},
                                                        {"ANY:ANY:err", "ERR"},
                                                        {"info", "INFO"}}) {
    EXPECT_EQ(run("vlog/set", {spec}).text, "") << spec;
    EXPECT_EQ(level_of("unit-test"), level) << spec;
  }
  EXPECT_EQ(run("vlog/set", {"console:off"}).text, "");
  EXPECT_EQ(level_of("unit-test"), "INFO") << "the file has a level of its own";
  EXPECT_EQ(level_of("unit-test", true), "OFF");
  EXPECT_EQ(run("vlog/set", {"syslog:off"}).text, "");
  EXPECT_EQ(level_of("unit-test"), "INFO");
  EXPECT_THAT(error("vlog/set", {"syslog:dbg"}), HasSubstr("there is no syslog"));
  EXPECT_THAT(error("vlog/set", {"PATTERN:file:%m"}), HasSubstr("is fixed"));
  EXPECT_EQ(error("vlog/set", {"nosuch:file:dbg"}), "no destination, level, or module \"nosuch\"\n");
  EXPECT_EQ(error("vlog/set", {"unit-test:control-panel:dbg"}),
            "no destination, level, or module \"control-panel\"\n");
  EXPECT_EQ(level_of("unit-test"), "INFO") << "a refused spec changes nothing";
}

class LogFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = directory_ / "log";
    log::open_file(path_);
    log::use_stderr(false);
  }
  void TearDown() override {
    log::open_file("/dev/null");
    log::use_stderr(true);
  }
  static std::vector<std::string> lines(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  TempDir directory_;
  std::string path_;
  const log::Module module_{"unit-file"};
};

TEST_F(LogFile, ALineHasTimeNumberModuleLevelAndText) {
  log::warn(module_, "port {} of {} is {}", "p1", 17, "down");
  log::dbg(module_, "not at this level");
  ASSERT_EQ(lines(path_).size(), 1u);
  EXPECT_THAT(lines(path_)[0],
              ::testing::MatchesRegex(
                  "[0-9]+-[0-9]+-[0-9]+T[0-9:]+\\.[0-9]+Z\\|[0-9]+\\|unit-file\\|WARN\\|port p1 of "
                  "17 is down"));
}

TEST_F(LogFile, LineBreaksOfOthersDoNotMakeLines) {
  log::info(module_, "client said {}", "a\nb\x1b[2J");
  ASSERT_EQ(lines(path_).size(), 1u);
  EXPECT_THAT(lines(path_)[0], HasSubstr("a b [2J"));
}

TEST_F(LogFile, NamesOfOthersDoNotSteerTheTerminal) {
  log::info(module_, "device {} of {}", "a\x7f\xc2\x9b[31mb\x9b",
            "\xe2\x80\xae"
            "c\xe2\x81\xa6z\u00fc");
  ASSERT_EQ(lines(path_).size(), 1u);
  EXPECT_THAT(lines(path_)[0], ::testing::EndsWith("device a  [31mb  of  c z\u00fc"));
}

TEST_F(LogFile, RepeatedLinesAreLimitedOthersAreNot) {
  for (int i = 0; i < 1000; ++i) log::warn(module_, "frame {} could not be sent", i);
  log::warn(module_, "another thing");
  const std::size_t written = lines(path_).size();
  EXPECT_GE(written, static_cast<std::size_t>(log::kBurst) + 1);
  EXPECT_LT(written, static_cast<std::size_t>(log::kBurst) + 60);
  EXPECT_THAT(lines(path_).back(), HasSubstr("another thing"));
}

TEST_F(LogFile, TheLimitCanBeTakenAwayAndPutBack) {
  EXPECT_TRUE(log::limit_repeats("unit-file", false));
  for (int i = 0; i < 1000; ++i) log::warn(module_, "lost frame {}", i);
  EXPECT_EQ(lines(path_).size(), 1000u);
  EXPECT_TRUE(log::limit_repeats("any", true));
  for (int i = 0; i < 1000; ++i) log::warn(module_, "another lost frame {}", i);
  EXPECT_LT(lines(path_).size(), 1200u);
  EXPECT_FALSE(log::limit_repeats("no such module", true));
}

TEST_F(LogFile, IsClosedUntilItIsReopened) {
  log::close_file();
  log::info(module_, "nowhere");
  EXPECT_TRUE(lines(path_).empty());
  EXPECT_TRUE(log::reopen());
  log::info(module_, "here");
  EXPECT_EQ(lines(path_).size(), 1u);
}

TEST_F(LogFile, HasALevelOfItsOwn) {
  log::set_level("unit-file", log::Level::off, log::Destination::console);
  log::info(module_, "to the file");
  log::set_level("unit-file", log::Level::warn, log::Destination::file);
  log::info(module_, "nowhere");
  log::set_level("unit-file", log::Level::info);
  ASSERT_EQ(lines(path_).size(), 1u);
  EXPECT_THAT(lines(path_)[0], HasSubstr("to the file"));
}

TEST_F(LogFile, ReopenMakesANewFileAfterARotation) {
  log::info(module_, "before");
  std::filesystem::rename(path_, directory_ / "log.1");
  EXPECT_TRUE(log::reopen());
  log::info(module_, "after");
  EXPECT_THAT(lines(directory_ / "log.1").back(), HasSubstr("before"));
  EXPECT_THAT(lines(path_).back(), HasSubstr("after"));
}

TEST_F(LogFile, LinesOfManyThreadsStayWhole) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      const log::Module module("unit-thread-" + std::to_string(t));
      for (int i = 0; i < 50; ++i)
        log::info(module, "{}{}", std::string(100, static_cast<char>('a' + t)), "!");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lines(path_).size(), 200u);
  for (const std::string& line : lines(path_)) EXPECT_THAT(line, ::testing::EndsWith("!"));
}

TEST_F(LogFile, AFileThatCannotBeOpenedLeavesTheOldOneInUse) {
  EXPECT_THROW(log::open_file(directory_ / "no/such/log"), std::system_error);
  log::info(module_, "still here");
  EXPECT_THAT(lines(path_).back(), HasSubstr("still here"));
}

}  // namespace
}  // namespace vswitch::unixctl
