// SPDX-License-Identifier: Apache-2.0
#include "switchd/db/log.h"

#include <boost/algorithm/hex.hpp>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "schemas/json.h"

namespace vswitch::ovsdb {

namespace {

constexpr std::string_view kMagic = "OVSDB JSON ";
constexpr std::size_t kShaLength = 40;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::string sha1_hex(std::string_view bytes) {
  // Looked up once: that takes longer than the digest of a typical record.
  static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> sha1(EVP_MD_fetch(nullptr, "SHA1", nullptr),
                                                                    &EVP_MD_free);
  std::array<unsigned char, kShaLength / 2> digest{};
  if (!sha1 || EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, sha1.get(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL offers no SHA-1, which database files need: check openssl.cnf");
  }
  std::string text;
  boost::algorithm::hex_lower(digest, std::back_inserter(text));
  return text;
}

/// A complete record at the beginning of `bytes`: its JSON text, and its length with the header.
struct RawRecord {
  std::string_view json;
  std::size_t length = 0;
};

/// nullopt, and `problem` set, if there is none.
std::optional<RawRecord> raw_record(std::string_view bytes, std::string& problem) {
  const auto refuse = [&problem](const char* why) {
    problem = why;
    return std::nullopt;
  };
  if (!bytes.starts_with(kMagic)) return refuse("no record header");
  const std::size_t line = bytes.substr(0, 128).find('\n');
  if (line == bytes.npos) return refuse("an incomplete record header");
  const std::string_view header = bytes.substr(kMagic.size(), line - kMagic.size());
  std::size_t length = 0;
  const auto [rest, bad] = std::from_chars(header.data(), header.data() + header.size(), length);
  const std::string_view sha(rest, static_cast<std::size_t>(header.data() + header.size() - rest));
  if (bad != std::errc() || sha.size() != kShaLength + 1 || sha[0] != ' ')
    return refuse("a damaged record header");
  if (length > bytes.size() - line - 1) return refuse("an incomplete record");
  const std::string_view json = bytes.substr(line + 1, length);
  if (sha1_hex(json) != sha.substr(1)) return refuse("a record whose SHA-1 does not match");
  return RawRecord{json, line + 1 + length};
}

bool has_record(std::string_view bytes) {
  std::string ignored;
  for (std::size_t at = bytes.find(kMagic); at != bytes.npos; at = bytes.find(kMagic, at + 1)) {
    if (raw_record(bytes.substr(at), ignored)) return true;
  }
  return false;
}

bool write_all(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      if (written == 0) errno = ENOSPC;
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return true;
}

std::filesystem::path directory_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

void sync_directory(const std::string& path) {
  const Descriptor directory(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) < 0) fail("cannot sync the directory of " + path);
}

/// Writes bytes to the temporary file beside path; on failure the temporary file is removed.
void write_temporary(const std::string& path, std::string_view bytes, const struct stat* like) {
  const std::string name = LogFile::temporary_name(path);
  const Descriptor fd(::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (fd.get() < 0) fail("cannot create " + name);
  // Owner and mode of the file replaced are kept as far as this process is allowed to.
  if (like &&
      (::fchmod(fd.get(), like->st_mode & 07777) < 0 || ::fchown(fd.get(), like->st_uid, like->st_gid) < 0)) {
    errno = 0;
  }
  if (write_all(fd.get(), bytes, 0) && ::fsync(fd.get()) == 0) return;
  const int cause = errno;
  ::unlink(name.c_str());
  errno = cause;
  fail("cannot write " + name);
}

void rename_temporary(const std::string& path) {
  const std::string name = LogFile::temporary_name(path);
  if (::rename(name.c_str(), path.c_str()) == 0) return;
  const int cause = errno;
  ::unlink(name.c_str());
  errno = cause;
  fail("cannot rename " + name + " to " + path);
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

LogContents parse_log(std::string_view bytes) {
  LogContents contents;
  contents.size = bytes.size();
  while (contents.end < bytes.size()) {
    const std::string_view rest = bytes.substr(contents.end);
    const auto record = raw_record(rest, contents.problem);
    if (!record) {
      contents.more_behind = has_record(rest.substr(1));
      break;
    }
    Json json = Json::parse(record->json, nullptr, false);
    if (json.is_discarded()) {
      contents.problem = "a record that is not JSON";
      contents.more_behind = true;  // written completely, so not the trace of a crash
      break;
    }
    contents.records.push_back(std::move(json));
    contents.end += record->length;
  }
  return contents;
}

std::string log_record(std::string text) {
  text += '\n';
  std::string record(kMagic);
  record += std::to_string(text.size()) + " " + sha1_hex(text) + "\n" + text;
  return record;
}

LogFile::LogFile(std::string path) : path_(std::move(path)) {
  fd_ = std::make_shared<Descriptor>(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  if (fd_->get() < 0) fail("cannot open " + path_ + " for writing");
}

std::string LogFile::read() const {
  struct stat status {};
  if (::fstat(fd_->get(), &status) < 0) fail("cannot read " + path_);
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t got = ::pread(fd_->get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read " + path_);
    if (got == 0) break;
    at += static_cast<std::size_t>(got);
  }
  bytes.resize(at);
  return bytes;
}

void LogFile::truncate(std::uint64_t end) {
  if (::ftruncate(fd_->get(), static_cast<off_t>(end)) < 0 || ::fdatasync(fd_->get()) < 0)
    fail("cannot truncate " + path_);
  end_ = end;
  dirty_tail_ = false;
}

void LogFile::append(std::string_view record) {
  if (dirty_tail_) truncate(end_);
  if (write_all(fd_->get(), record, end_)) {
    end_ += record.size();
    return;
  }
  // A refused record must not stay: the part that was written has to go before anything else is written.
  const int cause = errno;
  dirty_tail_ = ::ftruncate(fd_->get(), static_cast<off_t>(end_)) < 0;
  errno = cause;
  fail("cannot write " + path_);
}

std::function<std::error_code()> LogFile::sync_job() const {
  return [fd = fd_] {
    return ::fdatasync(fd->get()) == 0 ? std::error_code() : std::error_code(errno, std::generic_category());
  };
}

void LogFile::replace(std::string_view bytes) {
  struct stat status {};
  if (::fstat(fd_->get(), &status) < 0) fail("cannot read " + path_);
  write_temporary(path_, bytes, &status);
  auto fd = std::make_shared<Descriptor>(::open(temporary_name(path_).c_str(), O_RDWR | O_CLOEXEC));
  if (fd->get() < 0) fail("cannot open " + temporary_name(path_));
  rename_temporary(path_);
  fd_ = std::move(fd);
  end_ = bytes.size();
  dirty_tail_ = false;
  sync_directory(path_);
}

void LogFile::create(const std::string& path, std::string_view bytes) {
  write_temporary(path, bytes, nullptr);
  rename_temporary(path);
  sync_directory(path);
}

Descriptor lock_log(const std::string& path) {
  const std::string name =
      directory_of(path) / ("." + std::filesystem::path(path).filename().string() + ".~lock~");
  Descriptor fd(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.get() < 0) fail("cannot open " + name);
  // An open file description lock: it conflicts with the POSIX locks ovsdb-server and ovsdb-tool take, but
  // closing another descriptor of the file in this process does not drop it.
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  // A daemon that was killed a moment ago may still be on its way out, with thousands of sockets to close.
  constexpr int kTries = 40;
  constexpr std::chrono::milliseconds kBetween{50};
  for (int tries = 0; tries < kTries; ++tries) {
    if (::fcntl(fd.get(), F_OFD_SETLK, &lock) == 0) return fd;
    if (errno != EAGAIN && errno != EACCES) break;
    std::this_thread::sleep_for(kBetween);
  }
  if (errno != EAGAIN && errno != EACCES) fail("cannot lock " + name);
  std::string holder = "another process";
  if (::fcntl(fd.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0) {
    holder = "process " + std::to_string(lock.l_pid);
  }
  throw std::runtime_error("the database " + path + " is in use: " + holder + " holds the lock on " + name);
}

}  // namespace vswitch::ovsdb
