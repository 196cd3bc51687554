// Our kernels in one precision and products, as a library that fake_driver.cpp opens in the place of a cubin.
#include "device.h"

namespace {
std::string said;
const char* say(std::string what) {
  said = std::move(what);
  return said.empty() ? nullptr : said.c_str();
}
}  // namespace

extern "C" {
void kernels_open(bool (*holds)(uint64_t, uint64_t)) { device::holds = holds; }

// Types of a kernel's parameters; null if there is no such kernel.
const char* kernels_types(const char* name) {
  auto found = device::kernels.find(name);
  return found == device::kernels.end() ? nullptr : found->second.types.c_str();
}

// What is wrong, or null.
const char* kernels_run(const char* name, unsigned grid, unsigned threads, unsigned shared, void* const* values) {
  return say(device::run(name, grid, threads, shared, values));
}
const char* kernels_multiply(const Product* product) { return say(device::multiply(*product)); }
}
