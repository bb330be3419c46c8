// SPDX-License-Identifier: Apache-2.0
// Which messages are an echo, and its answer.
#include "switchd/control/echo.h"

#include <gtest/gtest.h>

namespace vswitch::control {
namespace {

TEST(Echo, IsAnsweredInItsDialect) {
  const auto v1 = echo_of(R"({"id":"e","method":"echo","params":[1,"x"]})");
  ASSERT_TRUE(v1);
  EXPECT_EQ(v1->version, jsonrpc::Version::v1);
  EXPECT_EQ(Json::parse(v1->answer), Json::parse(R"({"id":"e","result":[1,"x"],"error":null})"));
  const auto v2 = echo_of(R"( {"jsonrpc":"2.0","id":null,"method":"echo","params":{"k":2}})" + 1);
  ASSERT_TRUE(v2);
  EXPECT_EQ(v2->version, jsonrpc::Version::v2);
  EXPECT_EQ(Json::parse(v2->answer), Json::parse(R"({"jsonrpc":"2.0","id":null,"result":{"k":2}})"));
  const auto bare = echo_of(R"({"jsonrpc":"2.0","id":7,"method":"echo"})");
  ASSERT_TRUE(bare);
  EXPECT_EQ(Json::parse(bare->answer), Json::parse(R"({"jsonrpc":"2.0","id":7,"result":{}})"));
}

TEST(Echo, NothingElseIs) {
  for (const char* message : {
           R"({"id":1,"method":"list_dbs","params":["echo"]})",
           R"({"id":null,"method":"echo","params":[]})",        // a notification
           R"({"jsonrpc":"2.0","method":"echo","params":[]})",  // another
           R"({"id":"echo","result":[],"error":null})",         // a response
           R"([{"jsonrpc":"2.0","id":1,"method":"echo"}])",     // a batch
           R"({"id":1,"method":"echo","params":{}})",           // 1.0 takes an array
           R"({"jsonrpc":"3.0","id":1,"method":"echo"})",       // no version
           R"({"id":1,"method":"echo","params":[1e999]})",      // no number
           R"({"id":1,"method":"echo","params":[)"
           "\"\xff\"]}",                               // no UTF-8
           R"({"id":1,"method":"echo","params":[}])",  // no JSON
           "",
       })
    EXPECT_FALSE(echo_of(message)) << message;
}

}  // namespace
}  // namespace vswitch::control
