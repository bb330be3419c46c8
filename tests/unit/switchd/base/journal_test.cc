// SPDX-License-Identifier: Apache-2.0
// Whether a descriptor is the stream to the journal. What the journal gets is tested with the whole daemon
// (tests/system/test_journal.py), because its socket has a fixed path.
#include "switchd/base/journal.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

namespace vswitch::log::test {
namespace {

TEST(JournalStream, IsThatOfDeviceAndInode) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  struct stat status {};
  ASSERT_EQ(::fstat(ends[0], &status), 0);
  const std::string device = std::to_string(status.st_dev), inode = std::to_string(status.st_ino);
  EXPECT_TRUE(is_journal_stream((device + ':' + inode).c_str(), ends[0]));
  EXPECT_FALSE(is_journal_stream((device + ':' + inode).c_str(), ends[1]));
  EXPECT_FALSE(is_journal_stream((std::to_string(status.st_dev + 1) + ':' + inode).c_str(), ends[0]));
  EXPECT_FALSE(is_journal_stream(nullptr, ends[0]));
  for (const std::string& other :
       {std::string(), device, device + ':', ':' + inode, device + ':' + inode + ' ',
        device + ":99999999999999999999999", "-1:" + inode}) {
    EXPECT_FALSE(is_journal_stream(other.c_str(), ends[0])) << other;
  }
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_FALSE(is_journal_stream((device + ':' + inode).c_str(), ends[0])) << "a closed one";
}

}  // namespace
}  // namespace vswitch::log::test
