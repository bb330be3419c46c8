// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/tls_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

#include "datapath/base/unique_fd.h"
#include "switchd/base/log.h"

namespace vswitch::control {
namespace {

const log::Module kTlsLog{"tls"};

constexpr const char* kNoKeys =
    "no keys for TLS: give them with `ovs-vsctl set-ssl PRIVATE-KEY CERTIFICATE CA-CERT`, or start vswitchd "
    "with "
    "--private-key, --certificate and --ca-cert";

bool is_of_table(const std::string& given) {
  return given.empty() || given.starts_with("db:");
}

std::string chosen(const std::string& given, const std::string& table) {
  return is_of_table(given) ? table : given;
}

/// Never in place of a file that is there. Throws std::system_error.
void create_file(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  const bool written =
      file.get() >= 0 && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (written) return;
  const int error = errno;
  if (file.get() >= 0) ::unlink(path.c_str());
  throw std::system_error(error, std::generic_category(), "cannot write the CA certificate " + path);
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
                             .ca_cert = chosen(given_.ca_cert, table_.ca_cert),
                             .bootstrap_ca_cert = given_.bootstrap_ca_cert ||
                                                  (is_of_table(given_.ca_cert) && table_.bootstrap_ca_cert)};
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
      if (loaded->learns_ca()) {
        complaint_ = "CA certificate " + files.ca_cert +
                     ": does not exist yet; the one of the first peer of an ssl: remote is taken over "
                     "(bootstrap_ca_cert)";
      }
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

void TlsIdentity::learn_ca(const std::string& pem, const std::string& from) {
  const std::shared_ptr<const wire::TlsContext> now = context();
  if (!now || !now->learns_ca()) return;
  try {
    create_file(now->files().ca_cert, pem);
    log::warn(kTlsLog,
              "CA certificate {} was taken over from {}, unchecked: compare it with the one of the CA",
              now->files().ca_cert, from);
  } catch (const std::system_error& error) {
    log::warn(kTlsLog, "{}", error.what());
  }
  refresh();
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
