// SPDX-License-Identifier: Apache-2.0
// A world for the tool without sockets: a caller that notes requests and gives prepared answers.
#pragma once

#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "ctl/program.h"
#include "schemas/openrpc.h"

namespace vswitch::ctl::test {

struct FakeDaemon {
  std::vector<std::pair<std::string, Json>> calls;
  std::map<std::string, std::vector<Json>> answers;  ///< by method, used in turn; the last one stays
  std::vector<Json> notifications;                   ///< after which the connection is lost
  int sleeps = 100;                                  ///< after so many nobody reads any more
  std::size_t lost_at = 0;                           ///< the call of this number, from 1, finds no daemon
  std::string refuse;                                ///< method that is refused
  jsonrpc::Error refusal{
      1001, "no bridge br9", {{"reason", "not_found"}, {"field", "bridge"}, {"value", "br9"}}};
};

/// The result that the contract gives as the example of a method.
inline Json example_result(const std::string& method) {
  for (const Json& one : openrpc::control().document()["methods"]) {
    if (one["name"] == method) return one["examples"][0]["result"]["value"];
  }
  throw std::out_of_range(method);
}

class FakeCaller : public Caller {
 public:
  explicit FakeCaller(FakeDaemon& daemon) : daemon_(daemon) {}
  Json call(const std::string& method, const Json& params) override {
    daemon_.calls.emplace_back(method, params);
    if (daemon_.calls.size() == daemon_.lost_at) throw NoDaemon("the daemon closed the connection", "");
    if (method == daemon_.refuse) throw daemon_.refusal;
    auto& answers = daemon_.answers[method];
    if (answers.empty()) return example_result(method);
    Json answer = answers.front();
    if (answers.size() > 1) answers.erase(answers.begin());
    return answer;
  }

  Json next_notification() override {
    if (daemon_.notifications.empty()) throw NoDaemon("the daemon closed the connection", "");
    Json first = daemon_.notifications.front();
    daemon_.notifications.erase(daemon_.notifications.begin());
    return first;
  }

 private:
  FakeDaemon& daemon_;
};

/// One run of the tool.
struct Invocation {
  explicit Invocation(std::vector<std::string> arguments, FakeDaemon* daemon = nullptr,
                      std::map<std::string, std::string> environment = {}) {
    FakeDaemon own;
    FakeDaemon& answering = daemon == nullptr ? own : *daemon;
    std::ostringstream out_stream, err_stream;
    World world{.out = out_stream,
                .err = err_stream,
                .environment =
                    [&](const char* name) {
                      const auto at = environment.find(name);
                      return at == environment.end() ? std::nullopt : std::optional<std::string>(at->second);
                    },
                .connect =
                    [&](const std::string& path, std::chrono::milliseconds time) {
                      socket = path;
                      timeout = time;
                      return std::make_unique<FakeCaller>(answering);
                    },
                .sleep =
                    [&](std::chrono::duration<double> time) {
                      slept.push_back(time.count());
                      if (--answering.sleeps == 0)
                        out_stream.setstate(std::ios::badbit);  // who reads has gone
                    },
                .run_vswitchd =
                    [&](const std::vector<std::string>& given) {
                      vswitchd = given;
                      return kDone;
                    }};
    status = run(std::move(arguments), world);
    out = out_stream.str();
    err = err_stream.str();
    calls = answering.calls;
  }

  int status = -1;
  std::string out, err, socket;
  std::chrono::milliseconds timeout{0};
  std::vector<double> slept;
  std::vector<std::string> vswitchd;  ///< the arguments that it was run with
  std::vector<std::pair<std::string, Json>> calls;
};

inline std::vector<std::string> words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> all;
  for (std::string word; stream >> word;) all.push_back(word);
  return all;
}

}  // namespace vswitch::ctl::test
