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
#include <utility>

#include "schemas/json.h"
#include "schemas/nesting.h"

namespace vswitch::ovsdb {

namespace {

constexpr std::string_view kMagic = "OVSDB JSON ";
constexpr std::size_t kShaLength = 40;
constexpr std::string_view kMarkBegin = R"({"_comment":"synced to byte )";
constexpr std::string_view kMarkEnd = "\"}\n";

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

/// The byte that a record marks as synced, if it is a mark: exactly the text that log_mark() writes, which no
/// transaction has (its record names a table), and not beyond its own place.
std::optional<std::uint64_t> synced_to(std::string_view json, std::uint64_t offset) {
  if (!json.starts_with(kMarkBegin) || !json.ends_with(kMarkEnd)) return std::nullopt;
  json.remove_prefix(kMarkBegin.size());
  json.remove_suffix(kMarkEnd.size());
  std::uint64_t end = 0;
  const auto [rest, bad] = std::from_chars(json.data(), json.data() + json.size(), end);
  if (bad != std::errc() || rest != json.data() + json.size() || end > offset) return std::nullopt;
  return end;
}

/// Takes what follows the problem at contents.end as evidence of what it is.
void look_behind(std::string_view bytes, LogContents& contents) {
  bool covered = false;
  std::string ignored;
  std::size_t at = bytes.find(kMagic, contents.end + 1);
  while (at != bytes.npos) {
    const auto record = raw_record(bytes.substr(at), ignored);
    if (record) {
      ++contents.behind;
      covered = covered || synced_to(record->json, at).value_or(0) > contents.end;
    }
    at = bytes.find(kMagic, at + (record ? record->length : 1));
  }
  contents.damaged = covered || (contents.behind > 0 && !contents.marked);
}

/// The JSON of a complete record; discarded, and `problem` set, if it is none that can be used.
Json parse_record(std::string_view text, std::string& problem) {
  if (nests_deeper_than(kMaxNesting, text)) {
    problem =
        "a record with arrays and objects nested more than " + std::to_string(kMaxNesting) + " levels deep";
    return Json::value_t::discarded;
  }
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) problem = "a record that is not JSON";
  return json;
}

void rename_temporary(const std::string& path) {
  const std::string name = LogFile::temporary_name(path);
  if (::rename(name.c_str(), path.c_str()) == 0) return;
  const int cause = errno;
  ::unlink(name.c_str());
  errno = cause;
  fail("cannot rename " + name + " to " + path);
}

/// Whatever is there under the temporary name is of a writer that crashed, or bait: it is never written to.
Descriptor write_temporary(const std::string& path, std::string_view bytes, const struct stat* like) {
  const std::string name = LogFile::temporary_name(path);
  ::unlink(name.c_str());
  return write_new_file(name, bytes, like);
}

}  // namespace

bool is_log(std::string_view bytes) {
  return bytes.starts_with(kMagic);
}

LogContents parse_log(std::string_view bytes) {
  LogContents contents;
  contents.size = bytes.size();
  while (contents.end < bytes.size()) {
    const auto record = raw_record(bytes.substr(contents.end), contents.problem);
    if (!record) {
      look_behind(bytes, contents);
      break;
    }
    if (synced_to(record->json, contents.end)) {
      contents.marked = contents.ends_marked = true;
    } else {
      Json json = parse_record(record->json, contents.problem);
      contents.damaged = json.is_discarded();  // written completely, so not the trace of a crash
      if (contents.damaged) break;
      contents.ends_marked = false;
      contents.records.push_back(std::move(json));
      contents.offsets.push_back(contents.end);
    }
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

std::string log_mark(std::uint64_t end) {
  return log_record(std::string(kMarkBegin) + std::to_string(end) + R"("})");
}

LogFile::LogFile(std::string path) : path_(std::move(path)) {
  fd_ = std::make_shared<Descriptor>(::open(path_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd_->get() < 0) fail("cannot open " + path_ + " for writing");
  struct stat status {};
  if (::fstat(fd_->get(), &status) < 0) fail("cannot read " + path_);
  if (!S_ISREG(status.st_mode))
    throw std::system_error(EINVAL, std::generic_category(), path_ + " is not a regular file");
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
  sync_end_ = 0;
  dirty_tail_ = false;
}

std::string LogFile::cut(std::uint64_t end) {
  struct stat status {};
  if (::fstat(fd_->get(), &status) < 0) fail("cannot read " + path_);
  std::string name = keep_torn_copy(path_, std::string_view(read()).substr(end), status);
  truncate(end);
  return name;
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

std::function<std::error_code()> LogFile::sync_job() {
  sync_end_ = end_;
  return [fd = fd_] {
    return ::fdatasync(fd->get()) == 0 ? std::error_code() : std::error_code(errno, std::generic_category());
  };
}

void LogFile::mark_synced() {
  if (sync_end_ == 0) return;
  try {
    append(log_mark(std::exchange(sync_end_, 0)));
  } catch (const std::system_error&) {
    // The next record meets the same disk, and is refused with the reason.
  }
}

void LogFile::adopt() {
  sync_end_ = end_;
  mark_synced();
  if (::fdatasync(fd_->get()) < 0) fail("cannot sync " + path_);
}

void LogFile::replace(std::string_view bytes) {
  struct stat status {};
  if (::fstat(fd_->get(), &status) < 0) fail("cannot read " + path_);
  auto fd = std::make_shared<Descriptor>(write_temporary(path_, bytes, &status));
  rename_temporary(path_);
  fd_ = std::move(fd);
  end_ = bytes.size();
  sync_end_ = 0;
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
      directory_of(path) + "/." + std::filesystem::path(path).filename().string() + ".~lock~";
  Descriptor fd(::open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (fd.get() < 0 && errno == ELOOP)
    throw std::runtime_error(name + " is a symbolic link, which is not followed: remove it");
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
