// SPDX-License-Identifier: Apache-2.0
// Tables that fit a terminal, and colours.
#include "ctl/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/screen.h"
#include "tests/unit/ctl/fake_world.h"

namespace vswitch::ctl {
namespace {

using test::example_result;
using test::FakeDaemon;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Table sample() {
  Table table({"NAME", Column("NOTE").leave_out(2), "N", Column("WHY").cut(1)});
  table.add({"a-port-with-a-name", "seldom", 1234567, "because of the reason that it has"});
  table.add({"日本日本日本日本日本", "x", 7, "no"});
  return table;
}

std::string on(std::size_t width, bool colours = false) {
  const ScreenScope scope({width, 0, colours});
  return sample().text();
}

std::size_t widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t most = 0;
  for (std::string line; std::getline(lines, line);) most = std::max(most, display_width(line));
  return most;
}

TEST(Fit, CutsWhatMattersLeastFirst) {
  EXPECT_EQ(on(0), on(200));
  EXPECT_EQ(on(60),
            "NAME                  NOTE          N  WHY\n"
            "a-port-with-a-name    seldom  1234567  because of the reaso…\n"
            "日本日本日本日本日本  x             7  no\n");
  EXPECT_EQ(on(50),
            "NAME              NOTE          N  WHY\n"
            "a-port-with-a-n…  seldom  1234567  because of the…\n"
            "日本日本日本日…   x             7  no\n")
      << "half of a wide character is no character";
}

TEST(Fit, LeavesOutColumnsAndSaysSo) {
  EXPECT_EQ(on(32),
            "NAME                  N  WHY   …\n"
            "a-port-with-a…  1234567  bec…\n"
            "日本日本日本…         7  no\n");
}

TEST(Fit, NeverCutsANumber) {
  EXPECT_THAT(on(5), HasSubstr("1234567"));
  EXPECT_THAT(on(5), HasSubstr("a-p…  1234567  bec…\n"));
}

TEST(Fit, EveryWidthHasLinesOfItsWidthWhileItCan) {
  for (std::size_t width = 31; width < 90; ++width) EXPECT_LE(widest(on(width)), width) << on(width);
}

TEST(Fit, TextThatWrapsGoesOnBelow) {
  const ScreenScope scope({24, 0, false});
  Table table({"N", Column("WHY").cut(1).wrap()});
  table.add({1, "no other port carries the VLAN"});
  table.add({22, "short"});
  EXPECT_EQ(table.text(2),
            "   N  WHY\n"
            "   1  no other port\n"
            "      carries the VLAN\n"
            "  22  short\n");
}

TEST(Fit, WordsThatAreTooLongAreBroken) {
  EXPECT_THAT(wrap_to_width("abcdefgh ij", 3), ElementsAre("abc", "def", "gh", "ij"));
  EXPECT_THAT(wrap_to_width("日本", 1), ElementsAre("日", "本"));
  EXPECT_THAT(wrap_to_width("", 3), ElementsAre(""));
}

TEST(Fit, WidthsAreThoseOfATerminal) {
  EXPECT_EQ(display_width("größe"), 5U);
  EXPECT_EQ(display_width("日本"), 4U);
  EXPECT_EQ(display_width("e\u0301"), 1U);
  EXPECT_EQ(cut_to_width("e\u0301e\u0301e\u0301", 2), "e\u0301…");
  EXPECT_EQ(cut_to_width("e\u0301e\u0301", 2), "e\u0301e\u0301");
}

TEST(Fit, LinesThatTheScreenDoesNotShowAreCounted) {
  const Screen screen{10, 4, false};
  EXPECT_EQ(cut_to_height("1\n2\n3\n", screen), "1\n2\n3\n");
  EXPECT_EQ(cut_to_height("1\n2\n3\n4\n", screen), "1\n2\n... 2 more lines\n");
  EXPECT_EQ(cut_to_height("1\nlonger than the screen\n3\n", screen), "1\n... 2 more lines\n");
  EXPECT_EQ(cut_to_height("\x1b[32mactive\x1b[0m   \n2\n3\n", screen), "\x1b[32mactive\x1b[0m   \n2\n3\n");
}

TEST(Colours, AreThoseOfStates) {
  const ScreenScope scope({0, 0, true});
  EXPECT_EQ(in_colour("active"), "\x1b[32mactive\x1b[0m");
  EXPECT_EQ(in_colour("waiting: no device t2"), "\x1b[33mwaiting\x1b[0m: no device t2");
  EXPECT_EQ(in_colour("error, copies only (s)"), "\x1b[31merror\x1b[0m, copies only (s)");
  EXPECT_EQ(in_colour("something else"), "something else");
  Table table({Column("STATE").states(), "N", "LAST"});
  table.add({"degraded: x", 1, "active"});
  EXPECT_THAT(table.text(), HasSubstr("\x1b[33mdegraded: x"));
  EXPECT_THAT(table.text(), Not(HasSubstr("\x1b[32m"))) << "LAST has no states";
}

struct Run {
  std::string arguments;
  std::map<std::string, std::string> environment;
  bool terminal;
};

std::string output_of(const Run& run_of) {
  FakeDaemon daemon;
  std::ostringstream out, err;
  World world{
      .out = out,
      .err = err,
      .environment =
          [&](const char* name) {
            const auto at = run_of.environment.find(name);
            return at == run_of.environment.end() ? std::nullopt : std::optional<std::string>(at->second);
          },
      .connect = [&](const std::string&,
                     std::chrono::milliseconds) { return std::make_unique<test::FakeCaller>(daemon); },
      .sleep = {},
      .run_vswitchd = {}};
  world.terminal = run_of.terminal;
  world.size = [] { return Screen{50, 24}; };
  EXPECT_EQ(run(test::words(run_of.arguments), world), kDone) << err.str();
  return out.str();
}

TEST(Colours, AreAskedForOrForATerminal) {
  const auto has_colours = [](const std::string& text) { return text.find("\x1b[3") != text.npos; };
  const std::map<std::string, std::string> xterm = {{"TERM", "xterm"}};
  EXPECT_TRUE(has_colours(output_of({"list-mirrors", xterm, true})));
  EXPECT_FALSE(has_colours(output_of({"list-mirrors", xterm, false})));
  EXPECT_FALSE(has_colours(output_of({"list-mirrors", {{"TERM", "dumb"}}, true})));
  EXPECT_FALSE(has_colours(output_of({"list-mirrors", {{"TERM", "xterm"}, {"NO_COLOR", "1"}}, true})));
  EXPECT_TRUE(has_colours(output_of({"list-mirrors", {{"TERM", "xterm"}, {"NO_COLOR", ""}}, true})));
  EXPECT_TRUE(has_colours(output_of({"list-mirrors --color=always", {{"NO_COLOR", "1"}}, false})));
  EXPECT_FALSE(has_colours(output_of({"--color never list-mirrors", xterm, true})));
  EXPECT_FALSE(has_colours(output_of({"list-mirrors --json --color=always", xterm, true})));
  for (const std::string command : {"show", "show-br br0", "show-port t1", "show-mirror br0 span0", "check"})
    EXPECT_TRUE(has_colours(output_of({command + " --colour always", {}, false}))) << command;
  EXPECT_FALSE(has_colours(output_of({"check --nagios --color always", {}, false})));
}

TEST(Fit, IsForATerminalOnlyAndColumnsCounts) {
  EXPECT_LE(widest(output_of({"list-mirrors --color never", {}, true})), 50U + 6);
  EXPECT_EQ(output_of({"list-mirrors", {{"COLUMNS", "20"}}, false}), output_of({"list-mirrors", {}, false}));
  EXPECT_EQ(output_of({"list-mirrors", {{"COLUMNS", "200"}}, true}), output_of({"list-mirrors", {}, false}));
  EXPECT_EQ(output_of({"list-mirrors", {{"COLUMNS", "wide"}}, true}), output_of({"list-mirrors", {}, true}));
  EXPECT_THAT(output_of({"list-mirrors", {{"COLUMNS", "80"}}, true}), HasSubstr("LOST"));
  EXPECT_LE(widest(output_of({"list-mirrors", {{"COLUMNS", "80"}}, true})), 80U);
}

}  // namespace
}  // namespace vswitch::ctl
