// SPDX-License-Identifier: Apache-2.0
// vswitch-ctl: the tool in front of the session API.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "ctl/program.h"

int main(int argc, char** argv) {
  namespace ctl = vswitch::ctl;
  ctl::World world{
      .out = std::cout,
      .err = std::cerr,
      .environment =
          [](const char* name) {
            const char* value = std::getenv(name);
            return value == nullptr ? std::nullopt : std::optional<std::string>(value);
          },
      .connect = ctl::connect_to,
      .sleep = [](std::chrono::duration<double> time) { std::this_thread::sleep_for(time); },
      .terminal = ::isatty(STDOUT_FILENO) == 1,
  };
  return ctl::run({argv + 1, argv + argc}, world);
}
