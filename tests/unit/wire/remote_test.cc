// SPDX-License-Identifier: Apache-2.0
#include "wire/remote.h"

#include <gmock/gmock.h>

#include <stdexcept>
#include <string>

namespace vswitch::testing {
namespace {

using ::testing::HasSubstr;

std::string why_refused(const std::string& remote) {
  try {
    wire::parse_remote(remote);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "not refused";
}

TEST(Remote, Notations) {
  EXPECT_EQ(wire::parse_remote("punix:/run/x.sock").path, "/run/x.sock");
  EXPECT_EQ(wire::parse_remote("unix:/run/x:y.sock").path, "/run/x:y.sock");
  EXPECT_FALSE(wire::parse_remote("unix:/run/x").passive());
  EXPECT_EQ(wire::parse_remote("ptcp:6641").address, "127.0.0.1") << "never the world unless asked for";
  EXPECT_EQ(wire::parse_remote("ptcp:6641").port, 6641);
  EXPECT_EQ(wire::parse_remote("ptcp:").port, 6640);
  EXPECT_EQ(wire::parse_remote("ptcp:0:0.0.0.0").address, "0.0.0.0");
  EXPECT_EQ(wire::parse_remote("ptcp:6640:[::1]").address, "::1");
  EXPECT_EQ(wire::parse_remote("tcp:10.1.2.3:17").port, 17);
  EXPECT_EQ(wire::parse_remote("tcp:[fe80::7]:18").address, "fe80::7");
  EXPECT_EQ(wire::parse_remote("tcp:[fe80::7]:18").port, 18);
  EXPECT_EQ(wire::parse_remote("tcp:10.1.2.3").port, 6640);
  EXPECT_EQ(wire::parse_remote("pssl:6641").address, "127.0.0.1");
  EXPECT_TRUE(wire::parse_remote("pssl:6641").passive());
  EXPECT_TRUE(wire::parse_remote("pssl:").with_tls());
  EXPECT_EQ(wire::parse_remote("ssl:10.1.2.3").port, 6640);
  EXPECT_TRUE(wire::parse_remote("ssl:[::1]:7").with_tls());
  EXPECT_FALSE(wire::parse_remote("ssl:[::1]:7").passive());
  EXPECT_FALSE(wire::parse_remote("tcp:[::1]:7").with_tls());
}

TEST(Remote, WhichOnesTheNetworkReaches) {
  for (const char* open : {"ptcp:1:0.0.0.0", "ptcp:1:192.0.2.1", "ptcp:1:[::]"})
    EXPECT_TRUE(wire::parse_remote(open).open_to_the_network()) << open;
  for (const char* shut :
       {"ptcp:1", "ptcp:1:127.0.0.2", "ptcp:1:[::1]", "pssl:1:0.0.0.0", "tcp:192.0.2.1", "punix:/x"})
    EXPECT_FALSE(wire::parse_remote(shut).open_to_the_network()) << shut;
}

TEST(Remote, RefusalsSayWhy) {
  EXPECT_THAT(why_refused("punix:"), HasSubstr("path is missing"));
  EXPECT_THAT(why_refused("punix:/" + std::string(107, 'p')), HasSubstr("107 bytes"));
  EXPECT_THAT(why_refused("ptcp:70000"), HasSubstr("\"70000\" is not a port"));
  EXPECT_THAT(why_refused("ptcp:1:localhost"), HasSubstr("numeric"));
  EXPECT_THAT(why_refused("tcp:1.2.3.4:0"), HasSubstr("port 0"));
  EXPECT_THAT(why_refused("tcp:[::1"), HasSubstr("numeric"));
  for (const char* text : {"", "punix", "db.sock", "http://x"})
    EXPECT_THAT(why_refused(text), HasSubstr("expected"));
}

}  // namespace
}  // namespace vswitch::testing
