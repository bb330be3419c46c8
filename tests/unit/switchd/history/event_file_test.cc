// SPDX-License-Identifier: Apache-2.0
// Events over restarts: what is found again, what damage and a full disk do, and that nobody waits.
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "switchd/history/history.h"

namespace vswitch::history::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string line_of(std::uint64_t number, const std::string& name = "span0") {
  return Json({{"number", number},
               {"time", "2026-01-05T08:00:00Z"},
               {"topic", "mirror.state"},
               {"bridge", "br0"},
               {"name", name},
               {"state", "active"},
               {"reason", ""}})
      .dump();
}

class EventFileTest : public testing::Test {
 protected:
  EventFileTest() {
    char name[] = "/tmp/vswitch_events_XXXXXX";
    directory = ::mkdtemp(name);
    path = directory / "conf.db.events";
  }
  ~EventFileTest() override { std::filesystem::remove_all(directory); }

  /// The numbers in the file, as the next daemon finds them.
  std::vector<std::uint64_t> numbers() {
    std::promise<std::vector<Kept>> found;
    EventFile file(path, [&](std::vector<Kept> events) { found.set_value(std::move(events)); });
    std::future<std::vector<Kept>> events = found.get_future();
    if (events.wait_for(std::chrono::seconds(30)) != std::future_status::ready) return {0};
    std::vector<std::uint64_t> all;
    for (const Kept& event : events.get()) all.push_back(event.number);
    return all;
  }
  /// Writes these, as one daemon after another.
  void append(std::uint64_t first, std::uint64_t last) {
    EventFile file(path, [](const std::vector<Kept>&) {});
    for (std::uint64_t number = first; number <= last; ++number) file.append(line_of(number));
  }
  void write_text(const std::string& text) { std::ofstream(path) << text; }

  std::filesystem::path directory, path;
};

TEST_F(EventFileTest, WhatWasAppendedIsFoundAgain) {
  EXPECT_THAT(numbers(), IsEmpty());
  append(1, 2);
  append(3, 3);
  EXPECT_THAT(numbers(), ElementsAre(1, 2, 3));
  EXPECT_EQ(EventFile(path, [](const std::vector<Kept>&) {}).last(), 3u);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST_F(EventFileTest, TwoFilesHaveTheLastTenThousandAndNoMoreThanTwiceThat) {
  append(1, 9'000);
  append(9'001, 25'000);
  const std::vector<std::uint64_t> all = numbers();
  ASSERT_EQ(all.size(), kMaxEvents);
  EXPECT_EQ(all.front(), 25'001 - kMaxEvents);
  EXPECT_EQ(all.back(), 25'000u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory), {}), 2);
  EXPECT_LT(std::filesystem::file_size(path) + std::filesystem::file_size(path.string() + ".1"),
            20'100 * line_of(25'000).size());
}

TEST_F(EventFileTest, DamageIsLeftOut) {
  write_text(line_of(1) + "\n" + "garbage\n" + R"({"number":-4})" + "\n" + line_of(7) + "\n" + line_of(3) +
             "\n" + std::string(100'000, 'x') + "\n" +
             R"({"number":8,"time":"then","topic":"mirror.state"})" + "\n" +
             R"({"number":9,"time":"2026-01-05T08:00:00Z","topic":"weather"})" + "\n" + line_of(10) + "\n" +
             line_of(11).substr(0, 20));
  EXPECT_THAT(numbers(), ElementsAre(1, 3, 10)) << "what was written later counts";
  append(12, 12);
  EXPECT_THAT(numbers(), ElementsAre(1, 3, 10, 12)) << "the torn line does not take the next one with it";
}

TEST_F(EventFileTest, AFileOfAnythingIsNoTrouble) {
  std::string bytes;
  for (unsigned i = 0; i < 300'000; ++i) bytes += static_cast<char>(i * 7919 % 251);
  write_text(bytes);
  EXPECT_THAT(numbers(), IsEmpty());
  append(1, 1);
  EXPECT_THAT(numbers(), ElementsAre(1));
}

TEST_F(EventFileTest, APipeOrADirectoryInItsPlaceIsSaidAndNobodyWaits) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  {
    EventFile file(path, [](const std::vector<Kept>&) {});
    file.append(line_of(1));
    for (int i = 0; i < 3000 && file.trouble().empty(); ++i) ::usleep(10'000);
    EXPECT_THAT(file.trouble(), HasSubstr("cannot write " + path.string() + ": "));
  }
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_THAT(numbers(), IsEmpty());
  append(1, 1);
}

TEST_F(EventFileTest, AFullDiskIsSaidAndHarmsNothing) {
  append(1, 3);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{std::filesystem::file_size(path) + 50, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  {
    EventFile file(path, [](const std::vector<Kept>&) {});
    EXPECT_EQ(file.last(), 3u);
    file.append(line_of(4));
    for (int i = 0; i < 3000 && file.trouble().empty(); ++i) ::usleep(10'000);
    EXPECT_THAT(file.trouble(), HasSubstr("cannot write " + path.string() + ": "));
    ::setrlimit(RLIMIT_FSIZE, &before);
    file.append(line_of(5));
  }  // the end is one more try
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(numbers(), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(EventFileTest, AHistoryGoesOnWhereTheLastOneEnded) {
  ovsdb::Database database{ovsdb::vswitch_schema()};
  boost::asio::io_context io;
  {
    History history(io, database, path);
    history.daemon("started", "one");
    history.refused("alice", "mirror.add", "no");
  }
  io.restart();
  History history(io, database, path);
  history.daemon("started", "two");  // before the file has been read
  bool called = false;
  history.when_loaded([&] { called = true; });
  EXPECT_FALSE(called);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!called && std::chrono::steady_clock::now() < deadline) {
    io.restart();  // it stops whenever there is nothing to do
    io.run_one_for(std::chrono::milliseconds(100));
  }
  ASSERT_TRUE(called);
  ASSERT_EQ(history.events().size(), 3u);
  EXPECT_EQ(history.events()[0].number, 1u);
  EXPECT_EQ(history.events()[1].topic, "system.refused");
  EXPECT_EQ(history.events()[2].number, 3u);
  EXPECT_EQ(Json::parse(history.events()[2].text)["reason"], "two");
}

}  // namespace
}  // namespace vswitch::history::test
