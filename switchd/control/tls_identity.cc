// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/tls_identity.h"

#include <sys/stat.h>

#include <ctime>
#include <utility>

#include "switchd/base/log.h"

namespace vswitch::control {
namespace {

const log::Module kTlsLog{"tls"};

constexpr const char* kNoKeys =
    "no keys for TLS: give them with `ovs-vsctl set-ssl PRIVATE-KEY CERTIFICATE CA-CERT`, or start vswitchd with "
    "--private-key, --certificate and --ca-cert";

std::string chosen(const std::string& given, const std::string& table) {
  return given.empty() || given.starts_with("db:") ? table : given;
}

std::string stamp_of(const std::string& path) {
  struct stat found {};
  if (path.empty() || ::stat(path.c_str(), &found) != 0) return "none;";
  std::string text;
  for (const auto number :
       {static_cast<std::int64_t>(found.st_dev), static_cast<std::int64_t>(found.st_ino),
        static_cast<std::int64_t>(found.st_size), static_cast<std::int64_t>(found.st_mtim.tv_sec),
        static_cast<std::int64_t>(found.st_mtim.tv_nsec), static_cast<std::int64_t>(found.st_ctim.tv_sec),
        static_cast<std::int64_t>(found.st_ctim.tv_nsec)})
    text += std::to_string(number) + ',';
  return text + ';';
}

}  // namespace

TlsIdentity::TlsIdentity(wire::TlsFiles given) : given_(std::move(given)) {
  refresh();
}

void TlsIdentity::set_table(const wire::TlsFiles& table) {
  table_ = table;
  refresh();
}

void TlsIdentity::refresh() {
  const wire::TlsFiles files{.private_key = chosen(given_.private_key, table_.private_key),
                             .certificate = chosen(given_.certificate, table_.certificate),
                             .ca_cert = chosen(given_.ca_cert, table_.ca_cert)};
  // Before they are read: what changes meanwhile is noticed next time.
  std::string stamps = stamp_of(files.private_key) + stamp_of(files.certificate) + stamp_of(files.ca_cert);
  if (stamps != stamps_ || files != seen_) {
    seen_ = files;
    stamps_ = std::move(stamps);
    load(files);
  }
  const std::shared_ptr<const wire::TlsContext> now = context();
  report(complaint_.empty() && now ? now->out_of_date(std::time(nullptr)) : complaint_);
}

void TlsIdentity::load(const wire::TlsFiles& files) {
  std::shared_ptr<const wire::TlsContext> loaded;
  complaint_.clear();
  if (files.empty()) {
    complaint_ = kNoKeys;
  } else {
    try {
      loaded = wire::TlsContext::load(files);
      log::info(kTlsLog, "private key {}, certificate {} and CA certificate {} are in use", files.private_key,
                files.certificate, files.ca_cert);
    } catch (const std::exception& error) {
      complaint_ = error.what();
    }
  }
  const MutexLock lock(mutex_);
  if (!loaded && context_ && context_->files() == files) {
    complaint_ += "; the keys that were read before stay in use";
  } else {
    context_ = std::move(loaded);
  }
}

void TlsIdentity::report(const std::string& problem) {
  {
    const MutexLock lock(mutex_);
    if (problem == problem_) return;
    problem_ = problem;
  }
  if (problem.empty()) return;
  if (problem == kNoKeys) {
    log::info(kTlsLog, "{}", problem);
  } else {
    log::warn(kTlsLog, "{}", problem);
  }
}

std::shared_ptr<const wire::TlsContext> TlsIdentity::context() const {
  const MutexLock lock(mutex_);
  return context_;
}

std::string TlsIdentity::problem() const {
  const MutexLock lock(mutex_);
  return problem_;
}

}  // namespace vswitch::control
