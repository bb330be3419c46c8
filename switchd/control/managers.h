// SPDX-License-Identifier: Apache-2.0
// The remotes that the database asks for: one per Manager row (ovs-vswitchd.conf.db(5), "Manager TABLE"), with the
// keys that the table SSL asks for.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "wire/tls.h"

namespace vswitch::ovsdb {
class Database;
class Row;
}  // namespace vswitch::ovsdb

namespace vswitch::control {

class Server;

/// Opens a remote when its row appears, closes it with its clients when the row goes, retries once a second
/// what could not be opened, looks whether files of keys have changed, and writes is_connected and status. Remotes of the command line are not touched.
class Managers {
 public:
  Managers(boost::asio::io_context& io, ovsdb::Database& database, Server& server);
  Managers(const Managers&) = delete;
  Managers& operator=(const Managers&) = delete;
  ~Managers();

  /// What the table SSL has. At most one row is in use.
  static wire::TlsFiles keys_of(const ovsdb::Database& database);

 private:
  struct Open {
    std::string error;  ///< why it is not open; empty if it is
    bool read_only = false;
  };
  void reconcile();
  void open(const std::string& target, bool read_only);
  void write_status();
  std::map<std::string, std::string> status_of(const std::string& target, bool& connected) const;
  void tick();

  ovsdb::Database& database_;
  Server& server_;
  boost::asio::steady_timer timer_;
  std::uint64_t listener_;
  std::map<std::string, Open> opened_;  // by target of each row
  std::shared_ptr<void> life_ = std::make_shared<char>();
};

}  // namespace vswitch::control
