// SPDX-License-Identifier: Apache-2.0
// How much one client may take: the bounds that keep it from harming the switch and the other clients.
//
// What a client has in the works is its unfinished message, its requests without an answer, the answers that
// it has not read, its monitors and its locks. All of it counts in bytes of memory, estimated where JSON is a
// tree (switchd/control/client_memory.h). A request that would exceed a bound is refused with a sentence that
// names the bound; nobody else notices. switchd/control/README.md has the table for users.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace vswitch::limits {

inline constexpr std::size_t kMiB = std::size_t{1} << 20;

// Memory.
inline constexpr std::size_t kClientBytes =
    256 * kMiB;  ///< of one client, everything that it has in the works
inline constexpr std::size_t kAllClientsBytes = 1024 * kMiB;  ///< of all clients together
/// Up to here a client is served even if the others have used up what is for all.
inline constexpr std::size_t kAlwaysBytes = 1 * kMiB;
inline constexpr std::size_t kBatchAnswerBytes = 64 * kMiB;  ///< text of the answers of one batch
inline constexpr std::size_t kResultBytes = 256 * kMiB;  ///< results of one transaction, rows of one monitor
inline constexpr std::size_t kRecordBytes = 128 * kMiB;  ///< what one transaction writes to the file
inline constexpr std::size_t kMonitors = 1024;  ///< of one client; ovs-vswitchd's clients have 1 to 3
inline constexpr std::size_t kExplainNext = 4;  ///< pending, of one client; there are 8 for all

// Work. A transaction cannot be interrupted: these bound the time that the others wait for it.
inline constexpr std::size_t kOperations = 100'000;  ///< of one transaction
inline constexpr std::uint64_t kSteps = 50'000'000;  ///< clauses tested and elements copied by its operations
inline constexpr std::int64_t kWaitsTurnMs = 10;     ///< of waiting transactions, before it is others' turn

// What the echo thread does in place of the control thread (switchd/control/echo_thread.h): larger messages
// would delay the echoes of others.
inline constexpr std::size_t kEchoBytes = std::size_t{64} << 10;        ///< text of an `echo`
inline constexpr std::size_t kEchoTreeBytes = std::size_t{256} << 10;   ///< memory of its values
inline constexpr std::size_t kEchoWriteBytes = std::size_t{256} << 10;  ///< written to one client at a time
inline constexpr std::size_t kEchoReserveBytes =
    16 * kMiB;                               ///< with less of the reserve below, it does nothing
inline constexpr std::int64_t kLateMs = 10;  ///< the control thread is late if it has not looked at a socket
inline constexpr std::int64_t kPatrolMs =
    40;  ///< between looks at the sockets while the control thread works

// For the end of a request if memory is short in spite of all this (switchd/base/memory_reserve.h). Destroying a
// JSON tree takes memory, 16 bytes per element of an array, and three times that while the list of what is to
// be destroyed grows over arrays in arrays. It has to last for reading the largest message and for destroying
// it; with less of a reserve, messages have to be smaller.
inline constexpr std::size_t kReserveBytes = 320 * kMiB;
constexpr std::size_t tree_bytes(std::size_t reserve) {
  return reserve / 5 * 4;
}
/// Memory is given back to the system after so much was released.
inline constexpr std::size_t kTrimBytes = 16 * kMiB;

// Descriptors. Clients of the control socket may use a quarter of RLIMIT_NOFILE, those of the operator socket
// a sixteenth; the rest is for ports, which take five each with two workers.
inline constexpr std::size_t kClients = 4096;  ///< of a server, however many descriptors there are
inline constexpr std::size_t kControlPart = 4;
inline constexpr std::size_t kOperatorPart = 16;
inline constexpr std::size_t kFewestClients = 4;
/// Of clients that may only read: any user of the host may connect. They have their own share of memory, too.
inline constexpr std::size_t kReadersPart = 32;
inline constexpr std::size_t kReaders = 256;
inline constexpr std::size_t kReaderBytes = 64 * kMiB;
inline constexpr std::size_t kAllReadersBytes = 128 * kMiB;
inline constexpr std::size_t kReaderAlwaysBytes = std::size_t{256} << 10;  ///< as kAlwaysBytes

// Flight recorders (switchd/bridge/recorders.h). Memory of frames, which does not count as that of a client: the sessions
// outlive it. Sizes are written in powers of ten, as in `--record 64MB`. The schema and the contract have the first two
// as well.
inline constexpr std::int64_t kLeastRecorderBytes = 1'000'000;
inline constexpr std::int64_t kRecordersBytes = 500'000'000;  ///< of all together, so of one at most
inline constexpr std::int64_t kRecorderBytes = 64'000'000;    ///< of one that is limited by time alone
inline constexpr std::int64_t kRecorderSeconds = 86400;       ///< at most
inline constexpr std::size_t kDumps = 4;                      ///< at the same time, of all clients
inline constexpr std::int64_t kDumpPatienceMs = 60'000;       ///< with a client that takes nothing

// TLS. Before the handshake is done, anybody can be at the other end.
inline constexpr std::size_t kHandshakes = 256;  ///< at a time; clients beyond it are turned away
inline constexpr std::int64_t kHandshakeMs = 10'000;
inline constexpr std::size_t kTlsBytes = std::size_t{64} << 10;  ///< memory of a connection, about
inline constexpr std::size_t kTlsWriteBytes =
    std::size_t{64} << 10;  ///< encrypted at a time; more only when the socket has taken that
inline constexpr std::size_t kTlsUnsentBytes = 1 * kMiB;  ///< of ciphertext; only an abuser gets there

/// "64 MiB"; bytes if it is not a whole number of them.
inline std::string mebibytes(std::size_t bytes) {
  return bytes % kMiB == 0 ? std::to_string(bytes / kMiB) + " MiB" : std::to_string(bytes) + " bytes";
}

}  // namespace vswitch::limits
