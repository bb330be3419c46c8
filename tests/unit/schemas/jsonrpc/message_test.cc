// SPDX-License-Identifier: Apache-2.0
// Messages of both dialects: what is a request, a notification, a reply, and what is none of them.
#include "schemas/jsonrpc/message.h"

#include <gmock/gmock.h>

namespace vswitch::jsonrpc {
namespace {

using ::testing::HasSubstr;

Message parse(const char* text) {
  return parse_message(Json::parse(text));
}
Request request(const char* text) {
  return std::get<Request>(parse(text));
}
Response response(const char* text) {
  return std::get<Response>(parse(text));
}

InvalidMessage invalid(const char* text) {
  try {
    parse(text);
  } catch (const InvalidMessage& error) {
    return error;
  }
  ADD_FAILURE() << text << " was taken for a message";
  return {Version::v1, nullptr, "", nullptr};
}

TEST(JsonRpcMessage, WithoutJsonrpcMemberIsARequestOfVersionOne) {
  const Request got = request(R"({"method":"transact","params":["Open_vSwitch"],"id":7})");
  EXPECT_EQ(got.version, Version::v1);
  EXPECT_EQ(got.method, "transact");
  EXPECT_EQ(got.params, Json({"Open_vSwitch"}));
  EXPECT_EQ(got.id, 7);
  EXPECT_TRUE(got.wants_reply);
}

TEST(JsonRpcMessage, VersionOneIdMayBeAnyValueButNull) {
  for (const char* id : {"0", "\"x\"", "[1,\"a\"]", "{\"k\":false}", "false", "1.5"}) {
    const std::string text = std::string(R"({"method":"echo","params":[],"id":)") + id + "}";
    EXPECT_EQ(request(text.c_str()).id, Json::parse(id));
    EXPECT_TRUE(request(text.c_str()).wants_reply);
  }
}

TEST(JsonRpcMessage, VersionOneNotificationHasNoIdOrIdNull) {
  EXPECT_FALSE(request(R"({"method":"cancel","params":[3]})").wants_reply);
  EXPECT_FALSE(request(R"({"method":"cancel","params":[3],"id":null})").wants_reply);
}

TEST(JsonRpcMessage, VersionOneRequestMayCarryNullResultAndError) {
  EXPECT_EQ(request(R"({"method":"echo","params":[],"id":1,"result":null,"error":null})").method, "echo");
}

TEST(JsonRpcMessage, VersionOneRefusals) {
  EXPECT_THAT(invalid(R"({"id":1})").message, HasSubstr("method"));
  EXPECT_THAT(invalid(R"({})").message, HasSubstr("method"));
  EXPECT_THAT(invalid(R"({"method":3,"params":[],"id":1})").message, HasSubstr("string"));
  EXPECT_THAT(invalid(R"({"method":"echo","id":1})").message, HasSubstr("array"));
  EXPECT_THAT(invalid(R"({"method":"echo","params":{},"id":1})").message, HasSubstr("array"));
  EXPECT_THAT(invalid(R"({"method":"echo","params":[],"id":1,"result":0})").message, HasSubstr("result"));
  EXPECT_THAT(invalid(R"({"id":1,"result":2,"error":3})").message, HasSubstr("method"));
  EXPECT_EQ(invalid(R"([])").version, Version::v1);
}

TEST(JsonRpcMessage, VersionOneReplies) {
  EXPECT_EQ(response(R"({"id":"echo","result":[],"error":null})").result, Json::array());
  EXPECT_EQ(response(R"({"id":4,"error":"unknown method"})").error, "unknown method");
}

TEST(JsonRpcMessage, VersionTwoRequest) {
  const Request got =
      request(R"({"jsonrpc":"2.0","method":"mirror.add","params":{"name":"span0"},"id":"a"})");
  EXPECT_EQ(got.version, Version::v2);
  EXPECT_EQ(got.params.at("name"), "span0");
  EXPECT_EQ(got.id, "a");
}

TEST(JsonRpcMessage, VersionTwoParamsMayBeMissingAndBecomeAnEmptyObject) {
  EXPECT_EQ(request(R"({"jsonrpc":"2.0","method":"bridge.list","id":1})").params, Json::object());
}

TEST(JsonRpcMessage, VersionTwoIdNullIsARequestAndNoIdANotification) {
  EXPECT_TRUE(request(R"({"jsonrpc":"2.0","method":"subscribe","id":null})").wants_reply);
  EXPECT_FALSE(request(R"({"jsonrpc":"2.0","method":"subscribe"})").wants_reply);
}

TEST(JsonRpcMessage, VersionTwoRefusalsNameFieldAndValueAndKeepTheId) {
  const InvalidMessage method = invalid(R"({"jsonrpc":"2.0","method":5,"id":9})");
  EXPECT_EQ(method.version, Version::v2);
  EXPECT_EQ(method.code, kInvalidRequest);
  EXPECT_EQ(method.id, 9);
  EXPECT_EQ(method.data, Json({{"field", "method"}, {"value", 5}}));
  EXPECT_EQ(invalid(R"({"jsonrpc":"2.0","id":9})").data.at("field"), "method");
  EXPECT_EQ(invalid(R"({"jsonrpc":"3","method":"x","id":9})").data.at("value"), "3");
  EXPECT_EQ(invalid(R"({"jsonrpc":"2.0","method":"x","params":3,"id":9})").data.at("field"), "params");
  const InvalidMessage id = invalid(R"({"jsonrpc":"2.0","method":"x","id":[9]})");
  EXPECT_EQ(id.data.at("field"), "id");
  EXPECT_TRUE(id.id.is_null());
}

TEST(JsonRpcMessage, WhatIsBuiltIsReadBack) {
  for (const Version version : {Version::v1, Version::v2}) {
    const auto asked = std::get<Request>(parse_message(make_request(version, 3, "echo", Json::array({1}))));
    EXPECT_EQ(asked.version, version);
    EXPECT_EQ(asked.id, 3);
    EXPECT_EQ(asked.params, Json::array({1}));
    EXPECT_FALSE(
        std::get<Request>(parse_message(make_notification(version, "n", Json::array()))).wants_reply);
    EXPECT_EQ(std::get<Response>(parse_message(make_result(version, 3, "done"))).result, "done");
    EXPECT_FALSE(std::get<Response>(parse_message(make_error(version, 3, Error(1, "no")))).error.is_null());
  }
}

TEST(JsonRpcMessage, ErrorsLookAsTheirDialectHasThem) {
  EXPECT_EQ(make_error(Version::v2, 3, invalid_params("no bridge \"x\"", "bridge", "x")),
            Json::parse(R"({"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"no bridge \"x\"",
                            "data":{"field":"bridge","value":"x"}}})"));
  EXPECT_EQ(make_error(Version::v1, 3, Error(1, "unknown method")),
            Json::parse(R"({"id":3,"result":null,"error":"unknown method"})"));
  EXPECT_EQ(make_error(Version::v1, 3, Error(1, "", {{"error", "not owner"}})).at("error").at("error"),
            "not owner");
}

TEST(JsonRpcMessage, TextSurvivesBytesThatAreNotUtf8) {
  EXPECT_EQ(to_text(Json({{"name", "p\xff"}})), "{\"name\":\"p\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace vswitch::jsonrpc
