// SPDX-License-Identifier: Apache-2.0
// What clients that may only read may call.
#include "switchd/api/methods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "schemas/openrpc.h"
#include "tests/unit/switchd/api/support.h"

namespace vswitch::api::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Readers = ApiTest;

TEST_F(Readers, MayCallWhatChangesNothing) {
  std::vector<std::string> refused;  // of the whole contract: a new method is on one side or the other
  for (const Json& method : openrpc::control().document()["methods"]) {
    if (!dispatcher.for_readers().contains(method["name"].get<std::string>()))
      refused.push_back(method["name"]);
  }
  std::sort(refused.begin(), refused.end());
  EXPECT_THAT(refused, ElementsAre("bridge.add", "bridge.del", "bridge.put", "bridge.set", "database.compact",
                                   "fdb.flush", "log.set", "mirror.add", "mirror.del", "mirror.disable",
                                   "mirror.dump_record", "mirror.enable", "mirror.import", "mirror.put",
                                   "mirror.reset", "mirror.set", "port.add", "port.del", "port.del_transient",
                                   "port.put", "port.set", "system.apply", "system.set_config"));
}

TEST_F(Readers, AreRefusedTheRestWithTheRemedy) {
  client->set_read_only();
  const Json error = (*send("bridge.add", {{"name", "br7"}}))["error"];
  EXPECT_EQ(error["code"], control::kReadOnly);
  EXPECT_EQ(error["data"]["reason"], "read_only");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("db.sock"));
  EXPECT_TRUE((*send("bridge.list", Json::object())).contains("result"));
}

}  // namespace
}  // namespace vswitch::api::test
