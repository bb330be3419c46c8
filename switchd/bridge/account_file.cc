// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/account_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "datapath/base/background.h"
#include "datapath/base/unique_fd.h"
#include "schemas/json.h"
#include "switchd/base/files.h"
#include "switchd/base/log.h"

namespace vswitch::bridge {
namespace {

const log::Module kAccountLog{"mirror"};

constexpr TimeNs kBetween = 60 * kSecondNs;
constexpr std::size_t kMaxBytes = std::size_t{256} << 20;
constexpr int kVersion = 1;

std::string why() {
  return std::generic_category().message(errno);
}

/// False with errno.
bool read_all(int fd, std::string& text) {
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t count = ::read(fd, text.data() + got, text.size() - got);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  text.resize(got);
  return true;
}

/// False with errno.
bool write_all(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  return true;
}

Json json_of(const DestinationTotals& totals) {
  Json lost = Json::object();
  for (std::size_t r = 0; r < kDropReasonCount; ++r) {
    if (totals.lost[r] != 0) lost[std::string(name(static_cast<DropReason>(r)))] = totals.lost[r];
  }
  return {{"matched", totals.matched},
          {"delivered", totals.delivered},
          {"delivered_bytes", totals.delivered_bytes},
          {"sent_packets", totals.sent_packets},
          {"truncated", totals.truncated},
          {"lost", lost}};
}

std::uint64_t count_of(const Json& count) {
  if (!count.is_number_unsigned()) throw std::runtime_error("a count is not a whole number");
  return count.get<std::uint64_t>();
}

DestinationTotals destination_of(const Json& json) {
  DestinationTotals totals;
  totals.matched = count_of(json.at("matched"));
  totals.delivered = count_of(json.at("delivered"));
  totals.delivered_bytes = count_of(json.at("delivered_bytes"));
  totals.sent_packets = count_of(json.at("sent_packets"));
  totals.truncated = count_of(json.at("truncated"));
  const Json& lost = json.at("lost");
  for (auto item = lost.begin(); item != lost.end(); ++item) {
    DropReason reason = DropReason::switch_ended;
    for (std::size_t r = 0; r < kDropReasonCount; ++r) {
      if (name(static_cast<DropReason>(r)) == item.key()) reason = static_cast<DropReason>(r);
    }
    totals.lost[static_cast<std::size_t>(reason)] += count_of(item.value());
  }
  return totals;
}

}  // namespace

AccountFile::~AccountFile() {
  if (!saving_.valid()) return;
  if (const std::string trouble = saving_.get(); !trouble.empty()) log::warn(kAccountLog, "{}", trouble);
}

AccountTotals AccountFile::load() const {
  std::string trouble;
  AccountTotals accounts = load_accounts(path_, trouble);
  if (!trouble.empty()) log::warn(kAccountLog, "{}", trouble);
  return accounts;
}

void AccountFile::save(AccountTotals accounts, TimeNs now) {
  if (saving_.valid()) {
    const std::string trouble = saving_.get();
    if (!trouble.empty() && trouble != trouble_) log::warn(kAccountLog, "{}", trouble);
    if (!trouble.empty()) saved_ = {};
    trouble_ = trouble;
  }
  due_ = now + kBetween;
  if (accounts == saved_) return;
  saved_ = accounts;
  saving_ =
      in_background([path = path_, accounts = std::move(accounts)] { return save_accounts(path, accounts); });
}

std::string account_text(const AccountTotals& accounts) {
  Json sessions = Json::object();
  for (const auto& [id, session] : accounts) {
    Json destinations = Json::object();
    for (const auto& [name, totals] : session.destinations) destinations[name] = json_of(totals);
    sessions[id] = {{"frames", session.frames}, {"bytes", session.bytes}, {"destinations", destinations}};
  }
  return Json{{"version", kVersion}, {"sessions", sessions}}.dump() + '\n';
}

AccountTotals parse_accounts(const std::string& text) {
  const Json json = Json::parse(text);
  if (json.at("version") != kVersion)
    throw std::runtime_error("its version is " + json.at("version").dump() + ", and this vswitchd knows " +
                             std::to_string(kVersion));
  AccountTotals accounts;
  const Json& sessions = json.at("sessions");
  for (auto session = sessions.begin(); session != sessions.end(); ++session) {
    SessionTotals& totals = accounts[session.key()];
    totals.frames = count_of(session.value().at("frames"));
    totals.bytes = count_of(session.value().at("bytes"));
    const Json& destinations = session.value().at("destinations");
    for (auto item = destinations.begin(); item != destinations.end(); ++item)
      totals.destinations[item.key()] = destination_of(item.value());
  }
  return accounts;
}

AccountTotals load_accounts(const std::string& path, std::string& trouble) {
  const std::string begin = "the accounts of sessions begin at zero: " + path + ": ";
  // Something else of this name, such as a pipe, must not make us wait.
  const UniqueFd file(open_past_own_link(path, O_RDONLY | O_NONBLOCK, 0));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    if (errno != ENOENT) trouble = begin + why();
    return {};
  }
  if (!S_ISREG(status.st_mode) || static_cast<std::size_t>(status.st_size) > kMaxBytes) {
    trouble = begin + (S_ISREG(status.st_mode) ? "longer than 256 MiB" : "not a regular file");
    return {};
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  if (!read_all(file.get(), text)) {
    trouble = begin + why();
    return {};
  }
  try {
    return parse_accounts(text);
  } catch (const std::exception& error) {
    trouble = begin + error.what();
    return {};
  }
}

std::string save_accounts(const std::string& path, const AccountTotals& accounts) {
  const std::string next = path + ".new";
  const std::string begin = "the accounts of sessions cannot be kept for the next start: ";
  ::unlink(next.c_str());  // of a daemon that was killed
  const UniqueFd file(::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!file) return begin + next + ": " + why();
  if (!write_all(file.get(), account_text(accounts)) || ::rename(next.c_str(), path.c_str()) != 0) {
    std::string reason = begin + path + ": " + why();
    ::unlink(next.c_str());
    return reason;
  }
  return {};
}

}  // namespace vswitch::bridge
