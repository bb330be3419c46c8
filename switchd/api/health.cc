// SPDX-License-Identifier: Apache-2.0
// system.check: is the switch well, and if not, what is it.
#include <algorithm>
#include <array>

#include "switchd/api/methods.h"
#include "switchd/api/rows.h"

namespace vswitch::api {
namespace {

constexpr std::size_t kMaxProblems = 1000;

/// The objects that the methods of this file use.
struct HealthMethods : Methods {
  bridge::CountersView& counters;
  bridge::DatapathView& datapath;
};

enum class Severity : std::uint8_t { note, warning, critical };
constexpr std::array<const char*, 3> kSeverityNames = {"note", "warning", "critical"};
constexpr std::array<const char*, 3> kStatusNames = {"ok", "warning", "critical"};

using Count = std::map<std::string, std::size_t>;

/// "3 sessions active, 1 waiting"
std::string count_text(const Count& count, const char* one, const char* many) {
  std::size_t all = 0;
  for (const auto& [state, number] : count) all += number;
  if (all == 0) return std::string("no ") + many;
  std::string text;
  for (const auto& [state, number] : count) {
    if (number == 0) continue;
    text += (text.empty() ? "" : ", ") + std::to_string(number);
    if (text.find(' ') == std::string::npos) text += std::string(" ") + (all == 1 ? one : many);
    text += ' ' + state;
  }
  return text;
}

class Checkup {
 public:
  explicit Checkup(const HealthMethods& methods) : methods_(methods) {
    for (const char* state : {"active", "degraded", "waiting", "disabled", "expired", "error"})
      mirrors_[state] = 0;
    for (const char* state : {"active", "down", "waiting", "error"}) ports_[state] = 0;
  }

  Json result() {
    for (const auto& [bridge_name, bridge] : model::bridges(methods_.database)) {
      const std::string notice = model::notice_of(*bridge);
      if (!notice.empty()) found(Severity::note, "bridge " + bridge_name, notice);
      check_ports(bridge_name, *bridge);
      check_mirrors(bridge_name, *bridge);
    }
    check_losses();
    check_datapath();
    if (const std::string trouble = methods_.history.trouble(); !trouble.empty())
      found(Severity::warning, "events", trouble);
    if (!methods_.database.trusts_disk())
      found(Severity::critical, "database",
            "the last changes are not on disk: see the log, and make room or repair the disk");
    return as_json();
  }

 private:
  struct Problem {
    Severity severity;
    std::string subject, text;
  };

  void found(Severity severity, const std::string& subject, const std::string& text) {
    problems_.push_back({severity, subject, text});
  }

  void check_ports(const std::string& bridge_name, const Row& bridge) {
    for (const auto& [name, port] : model::ports_of(methods_.database, bridge)) {
      const Row* interface = model::interface_of(methods_.database, *port);
      if (interface == nullptr) continue;
      const model::PortState state = model::state_of(*interface);
      ++ports_[state.state];
      const std::string subject = "port " + bridge_name + '/' + name;
      // An internal port that is down has no host that misses anything.
      const bool is_idle = state.state == "down" && interface->str("type") == "internal";
      if (state.state == "error") {
        found(Severity::critical, subject, "error: " + state.reason);
      } else if (is_idle) {
        found(Severity::note, subject, "down: " + state.reason);
      } else if (state.state != "active") {
        found(Severity::warning, subject, state.state + ": " + state.reason);
      } else if (!state.reason.empty()) {  // isolation lost, shared with a Linux bridge, ...
        found(Severity::warning, subject, state.reason);
      }
    }
  }

  void check_mirrors(const std::string& bridge_name, const Row& bridge) {
    for (const auto& [name, mirror] : model::mirrors_of(methods_.database, bridge)) {
      const model::MirrorState state = model::state_of_mirror(*mirror);
      ++mirrors_[state.state];
      const std::string subject = "session " + bridge_name + '/' + name;
      if (state.state == "error") {
        found(Severity::critical, subject, "error: " + state.reason);
      } else if (state.state == "waiting" || state.state == "degraded") {
        found(Severity::warning, subject, state.state + ": " + state.reason);
      }
      const std::string notice = methods_.counters.mirror_notice(mirror->uuid());
      if (!notice.empty() && state.state != "disabled") found(Severity::note, subject, notice);
    }
  }

  void check_losses() {
    for (const auto& [place, losses] : methods_.history.recent_losses()) {
      lost_ += losses.lost;
      std::string causes;
      for (const auto& [cause, count] : losses.by)
        causes += (causes.empty() ? "" : ", ") + cause + ' ' + std::to_string(count);
      found(Severity::warning, "session " + place.first + '/' + place.second,
            std::to_string(losses.lost) + (losses.lost == 1 ? " copy" : " copies") +
                " lost in the last minute: " + causes);
    }
  }

  void check_datapath() {
    const bridge::DatapathState state = methods_.datapath.datapath_state();
    const std::string& off = state.fast_path.off;
    // The option and the setting that turn it off are called so.
    const bool by_choice =
        off.find("kernel-fast-path") != std::string::npos || off.starts_with("a client waits");
    if (!off.empty()) found(by_choice ? Severity::note : Severity::warning, "fast path", "off: " + off);
    if (!state.fast_path.no_taps.empty()) found(Severity::warning, "fast path", state.fast_path.no_taps);
    for (const std::string& complaint : state.complaints) found(Severity::note, "settings", complaint);
  }

  Json as_json() {
    std::stable_sort(problems_.begin(), problems_.end(),
                     [](const Problem& a, const Problem& b) { return a.severity > b.severity; });
    const Severity worst = problems_.empty() ? Severity::note : problems_.front().severity;
    Json problems = Json::array();
    for (const Problem& problem : problems_) {
      if (problems.size() == kMaxProblems) break;
      problems.push_back({{"severity", kSeverityNames[static_cast<std::size_t>(problem.severity)]},
                          {"subject", problem.subject},
                          {"text", problem.text}});
    }
    return {
        {"status", kStatusNames[static_cast<std::size_t>(worst)]},
        {"summary", count_text(mirrors_, "session", "sessions") + "; " + count_text(ports_, "port", "ports") +
                        "; " + std::to_string(lost_) + " copies lost in the last minute"},
        {"problems", problems},
        {"left_out", problems_.size() - problems.size()},
        {"mirrors", mirrors_},
        {"ports", ports_},
        {"lost", lost_}};
  }

  const HealthMethods& methods_;
  std::vector<Problem> problems_;
  Count mirrors_, ports_;
  std::int64_t lost_ = 0;
};

}  // namespace

void add_health_methods(Methods& methods, bridge::CountersView& counters, bridge::DatapathView& datapath) {
  const HealthMethods shared{methods, counters, datapath};
  methods.read("system.check", [shared](const Json&) { return Checkup(shared).result(); });
}

}  // namespace vswitch::api
