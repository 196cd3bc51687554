// A device that is a process: takes the driver's calls from stdin, answers on stdout, runs our kernels by shim.h and
// forms products by their definition. All numbers little-endian. ShimDriver.java is the other end.
#include "device.h"
#include "memory.h"
#include <csignal>

namespace {
void take(void* into, size_t bytes) {
  char* at = static_cast<char*>(into);
  while (bytes) {
    const ssize_t got = read(0, at, bytes);
    if (got <= 0) _exit(got == 0 ? 0 : 4);
    at += got;
    bytes -= got;
  }
}
void give(const void* from, size_t bytes) {
  const char* at = static_cast<const char*>(from);
  while (bytes) {
    const ssize_t put = write(1, at, bytes);
    if (put <= 0) _exit(4);
    at += put;
    bytes -= put;
  }
}
template <class T> T next() { T value; take(&value, sizeof value); return value; }

// Says what is wrong, if anything is.
std::string launch() {
  std::string name(next<uint16_t>(), ' ');
  take(&name[0], name.size());
  const uint32_t grid = next<uint32_t>(), threads = next<uint32_t>(), shared = next<uint32_t>();
  std::string types(next<uint16_t>(), ' ');
  std::vector<uint64_t> bits(types.size());
  std::vector<void*> values(types.size());
  for (size_t i = 0; i < types.size(); i++) {
    types[i] = next<char>();
    bits[i] = next<uint64_t>();
    values[i] = &bits[i];
  }
  auto found = device::kernels.find(name);
  if (found == device::kernels.end()) return "no kernel " + name;
  const std::string& wanted = found->second.types;
  if (types.size() != wanted.size()) {
    return std::to_string(types.size()) + " arguments instead of " + std::to_string(wanted.size());
  }
  for (size_t i = 0; i < types.size(); i++) {
    if (types[i] != wanted[i]) return "argument " + std::to_string(i) + " is " + types[i] + ", not " + wanted[i];
  }
  return device::run(name, grid, threads, shared, values.data());
}

void outside(int) { shim::fail("touches memory outside of its tensors"); }
}  // namespace

int main() {
  device::holds = memory::holds;
  static char stack[1 << 16];
  stack_t own = {};
  own.ss_sp = stack;
  own.ss_size = sizeof stack;
  sigaltstack(&own, nullptr);
  struct sigaction action = {};
  action.sa_handler = outside;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  for (;;) {
    const char op = next<char>();
    std::string wrong;
    std::vector<char> answer;
    if (op == 'A') {
      const uint64_t address = memory::allocate(next<uint64_t>());
      if (!address) wrong = "out of memory";
      answer.assign((const char*)&address, (const char*)(&address + 1));
    } else if (op == 'F') {
      if (!memory::release(next<uint64_t>())) wrong = "frees what is not allocated";
    } else if (op == 'U') {
      const uint64_t address = next<uint64_t>();
      std::vector<char> data(next<uint64_t>());
      take(data.data(), data.size());
      if (!memory::holds(address, data.size())) wrong = "uploads beyond an allocation";
      else memcpy((void*)address, data.data(), data.size());
    } else if (op == 'D') {
      const uint64_t address = next<uint64_t>(), bytes = next<uint64_t>();
      if (!memory::holds(address, bytes)) wrong = "downloads beyond an allocation";
      else answer.assign((const char*)address, (const char*)address + bytes);
    } else if (op == 'S') {
      const uint64_t address = next<uint64_t>(), bytes = next<uint64_t>();
      if (!memory::holds(address, bytes)) wrong = "fills beyond an allocation";
      else memset((void*)address, 0, bytes);
    } else if (op == 'L') {
      wrong = launch();
    } else if (op == 'M') {
      wrong = device::multiply(next<Product>());
    } else {
      wrong = "no such call";
    }
    const uint32_t length = wrong.empty() ? answer.size() : wrong.size();
    const char status = wrong.empty() ? 0 : 1;
    give(&status, 1);
    give(&length, 4);
    give(wrong.empty() ? answer.data() : wrong.data(), length);
  }
}
